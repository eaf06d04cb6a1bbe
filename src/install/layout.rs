//! The product's places on a cPanel server. cPanel's docs keep third-party code below `/usr/local/cpanel/3rdparty` and a plugin's
//! configuration below `/var/cpanel` (<https://api.docs.cpanel.net/guides/guide-to-whm-plugins/>).

/// cPanel's own program; where it is missing, this is no cPanel server.
pub const CPANEL: &str = "/usr/local/cpanel/cpanel";
/// cPanel's tool for standard hooks.
pub const MANAGE_HOOKS: &str = "/usr/local/cpanel/bin/manage_hooks";

/// cPanel's tool that permits a page in WHM.
pub const REGISTER_APPCONFIG: &str = "/usr/local/cpanel/bin/register_appconfig";
/// cPanel's tool that takes that back.
pub const UNREGISTER_APPCONFIG: &str = "/usr/local/cpanel/bin/unregister_appconfig";
/// What cPanel keeps of our registration.
pub const REGISTERED_APP: &str = "/var/cpanel/apps/linkednodes.conf";
/// The name of our registration.
pub const APP: &str = "linkednodes";

/// What is registered with AppConfig, and its text.
pub const APP_CONF: &str = "/usr/local/cpanel/3rdparty/linked-nodes/linkednodes.conf";
/// See [`APP_CONF`].
pub const APP_CONF_TEXT: &str = include_str!("../../appconfig/linkednodes.conf");
/// The page: a launcher of the program.
pub const CGI: &str = "/usr/local/cpanel/whostmgr/docroot/cgi/linkednodes/index.cgi";
/// See [`CGI`].
pub const CGI_TEXT: &str = include_str!("../../plugin/whm/index.cgi");
/// The page's icon in WHM's menu.
pub const ICON: &str = "/usr/local/cpanel/whostmgr/docroot/addon_plugins/linkednodes.png";
/// See [`ICON`].
pub const ICON_BYTES: &[u8] = include_bytes!("../../plugin/whm/linkednodes.png");
/// The defaults of our fields in WHM's account and package forms.
pub const EXTENSION: &str = "/var/cpanel/packages/extensions/linkednodes";
/// See [`EXTENSION`].
pub const EXTENSION_TEXT: &str = include_str!("../../plugin/package-extension/linkednodes");

/// The product's own code.
pub const PRODUCT_DIR: &str = "/usr/local/cpanel/3rdparty/linked-nodes";
/// The program.
pub const PROGRAM: &str = "/usr/local/cpanel/3rdparty/linked-nodes/bin/linked-nodes";
/// The program as a command.
pub const COMMAND: &str = "/usr/local/bin/linked-nodes";
/// What the product knows: links, tokens, moves, the manifest. 0700 root.
pub const STATE_DIR: &str = "/var/cpanel/linked-nodes";
/// What was changed on this machine, and what was there before.
pub const MANIFEST: &str = "/var/cpanel/linked-nodes/manifest.json";
/// Contents of files that were replaced, named by their SHA-256.
pub const SAVED_DIR: &str = "/var/cpanel/linked-nodes/before";
/// The redirect of cpsrvd's ports.
pub const REDIRECT: &str = "/var/cpanel/linked-nodes/nftables.conf";
/// What anyone on this machine may know: the role.
pub const LIB_DIR: &str = "/var/lib/linked-nodes";
/// Sockets and pid files.
pub const RUN_DIR: &str = "/run/linked-nodes";
/// The supervisor's pid, where there is no systemd.
pub const PID_FILE: &str = "/run/linked-nodes/supervise.pid";
/// What serve and shim say, where there is no systemd.
pub const LOG: &str = "/var/log/linked-nodes.log";
/// The user and group that the shim runs as.
pub const USER: &str = "linkednodes";

/// Where units of the administrator live.
pub const UNIT_DIR: &str = "/etc/systemd/system";
/// The units and their text.
pub const UNITS: [(&str, &str); 3] = [
    ("linked-nodes.service", include_str!("../../plugin/systemd/linked-nodes.service")),
    ("linked-nodes-shim.service", include_str!("../../plugin/systemd/linked-nodes-shim.service")),
    ("linked-nodes-redirect.service", include_str!("../../plugin/systemd/linked-nodes-redirect.service")),
];
/// The launcher of the standard hooks.
pub const LAUNCHER_TEXT: &str = include_str!("../../hooks/linked-nodes-hook");
