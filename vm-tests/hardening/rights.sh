#!/bin/sh
# Beside /tmp, a script may write to the daemon's own directory only.
cat /proc/self/status > "$RUNTIME_DIRECTORY/rights"
