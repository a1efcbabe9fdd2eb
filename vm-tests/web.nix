# A host that serves one page: who it is.
page: {
  environment.etc."www/index.html".text = page;
  services.httpd = {
    enable = true;
    adminAddr = "admin@example.org";
    virtualHosts.localhost.documentRoot = "/etc/www";
  };
  networking.firewall.allowedTCPPorts = [ 80 ];
}
