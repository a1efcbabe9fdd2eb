# Environment of the units that run the daemon and its scripts: paths that do not change with the packages behind
# them, so that a new version of these restarts nothing.
{
  LOCALE_ARCHIVE = "/run/current-system/sw/lib/locale/locale-archive";
  TZDIR = "/etc/zoneinfo";
}
