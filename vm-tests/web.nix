# A host that serves one page: who it is.
page:
{ pkgs, ... }:
{
  services.httpd = {
    enable = true;
    adminAddr = "admin@example.org";
    virtualHosts.localhost.documentRoot = "${pkgs.writeTextDir "index.html" page}";
  };
  networking.firewall.allowedTCPPorts = [ 80 ];
}
