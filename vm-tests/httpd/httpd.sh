#!/bin/sh

if [ ! -e /run/httpd/httpd.pid ]; then
    systemctl start httpd
fi
