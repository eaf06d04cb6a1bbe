//! Linked Nodes in WHM, in a browser.

use crate::browser::{Browser, Wish};
use crate::lab::{Lab, PASSWORD, lab};

/// Lets root of the parent sign in with the tests' password.
pub fn root_password(lab: &Lab, node: &str) {
    lab.sh(node, &format!("echo 'root:{PASSWORD}' | chpasswd"));
}

/// A page of Linked Nodes.
fn ours(browser: &Browser, query: &str) {
    browser.page(&format!("/cgi/linkednodes/index.cgi{query}"));
}

/// From WHM's menu to the nodes and accounts and back.
pub fn nodes_and_accounts() {
    let lab = lab();
    root_password(lab, "parent");
    lab.account("listed");
    lab.createacct("afar", &["mail_node_alias=mail1"]);
    let browser = Browser::signed_in(Wish::default(), "root");
    browser.follow("Linked Nodes");
    browser.until("Link Server Nodes");
    browser.until("mail2.lab.test");
    assert_eq!(browser.count("#nodes tbody tr"), 2, "{}", browser.text());
    browser.look("nodes");
    browser.follow("Accounts");
    browser.until("listed.test");
    browser.look("accounts");
    // Search answers while one types.
    browser.fill("q", "afar");
    browser.gone("listed.test");
    assert_eq!(browser.count("#accounts tbody tr"), 1, "{}", browser.text());
    browser.follow("Back to WHM");
    browser.until("Create a New Account");
    drop(browser);

    // Without scripts the same, by forms and links.
    let browser = Browser::signed_in(Wish { scripts: false, ..Wish::default() }, "root");
    ours(&browser, "?page=accounts");
    browser.fill("q", "afar");
    browser.press("Search");
    browser.gone("listed.test");
    browser.until("afar.test");
    browser.choose("on", ".children");
    browser.press("Search");
    browser.until("afar.test");
    browser.follow("Show all");
    browser.until("listed.test");
    browser.follow("Domain");
    browser.until("listed.test");
    assert!(browser.path().contains("sort="), "{}", browser.path());
}

/// A reseller sees nothing of it: not in the menu, not by the address, and not where another plugin's entry would let it in.
pub fn resellers_are_kept_out() {
    let lab = lab();
    root_password(lab, "parent");
    lab.createacct("trader", &["reseller=1"]);
    let grant = |acls: &str| lab.sh("parent", &format!("sed -i 's/^trader:.*/trader:{acls}/' /var/cpanel/resellers"));
    grant("list-accts,create-acct,edit-account");
    let browser = Browser::signed_in(Wish::default(), "trader");
    assert!(!browser.text().contains("Linked Nodes"), "{}", browser.text());
    let pages = ["", "?page=accounts", "?page=moves", "?page=link", "?page=node&alias=mail1", "?page=account&user=listed"];
    for query in pages {
        ours(&browser, query);
        browser.until("You do not have permission");
        assert!(!browser.source().contains("mail1"), "{query}: {}", browser.source());
    }
    // An entry that lets everybody in to the same address: the page itself looks the right up.
    let conf = "name=wide\\nservice=whostmgr\\nurl=/cgi/linkednodes/\\nuser=root\\nacls=any\\n";
    lab.sh("parent", &format!("printf '{conf}' > /root/wide.conf && /usr/local/cpanel/bin/register_appconfig /root/wide.conf"));
    for query in pages {
        ours(&browser, query);
        browser.until("Not for this user");
        assert!(!browser.source().contains("mail1"), "{query}: {}", browser.source());
    }
    // The right is looked up at every request: given, it opens; taken, it closes.
    grant("all");
    ours(&browser, "");
    browser.until("mail1.lab.test");
    grant("list-accts");
    ours(&browser, "");
    browser.until("Not for this user");
    lab.sh("parent", "/usr/local/cpanel/bin/unregister_appconfig wide");
}
