# A web server with one page, the name of the host.
page: {
  environment.etc."www/index.html".text = page;
  services.httpd = {
    enable = true;
    adminAddr = "admin@example.org";
    virtualHosts.localhost.documentRoot = "/etc/www";
  };
  networking.firewall.allowedTCPPorts = [ 80 ];
}
