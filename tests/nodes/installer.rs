//! The product's own installer on a node of its own kind: twice, and walked back.

use crate::lab::lab;

/// Every file of the places the installer touches, with owner, mode and content.
const LOOK: &str = "find /usr/local/cpanel/3rdparty /usr/local/cpanel/whostmgr /usr/local/bin /var/cpanel /var/lib/linked-nodes /usr/lib/systemd /etc/systemd /run/linked-nodes \
    -xdev \\( -path /var/cpanel/hooks -o -path /var/cpanel/lab -o -path /var/cpanel/authn \\) -prune \
    -o \\( -type f -o -type l -o -type d \\) -printf '%p %U:%G %m %l ' \\( -type f -exec sha256sum {} \\; -o -printf '\\n' \\) 2>/dev/null | sed 's/ *$//' | sort; \
    getent passwd linkednodes; getent group linkednodes; nft list ruleset; /usr/local/cpanel/bin/manage_hooks list --output JSON";

/// A second install changes nothing; uninstall walks back to the byte; a machine without cPanel is refused.
pub fn there_and_back() {
    let lab = lab();
    let refused = lab.refused("parent", &["uninstall"]);
    assert!(refused.contains("children"), "a parent with children is not uninstalled: {refused}");
    lab.free("mail2");

    let twice = lab.exec("mail2", &["/root/linked-nodes", "install"]);
    assert!(
        twice.contains("othing to change") || twice.contains("unchanged") || !twice.contains("new "),
        "the second install: {twice}"
    );
    lab.exec("mail2", &["/root/linked-nodes", "uninstall"]);
    let bare = lab.sh("mail2", LOOK);
    assert!(!bare.contains("linked-nodes") && !bare.contains("linkednodes"), "something is left: {bare}");
    let dry = lab.exec("mail2", &["/root/linked-nodes", "install", "--dry-run"]);
    assert!(dry.contains("linkednodes"), "{dry}");
    assert_eq!(lab.sh("mail2", LOOK), bare, "a dry run changed something");
    lab.install("mail2");
    lab.product_json("mail2", &["doctor", "--json"]);
    lab.exec("mail2", &["/root/linked-nodes", "uninstall"]);
    assert_eq!(lab.sh("mail2", LOOK), bare, "uninstall did not walk back to the byte");

    lab.sh("mail2", "mv /usr/local/cpanel/cpanel /usr/local/cpanel/cpanel.away");
    let polite = lab.sh("mail2", "/root/linked-nodes install 2>&1 && echo INSTALLED || true");
    lab.sh("mail2", "mv /usr/local/cpanel/cpanel.away /usr/local/cpanel/cpanel");
    assert!(polite.contains("cPanel") && !polite.contains("INSTALLED"), "{polite}");
    lab.install("mail2");
    lab.link("mail2");
}
