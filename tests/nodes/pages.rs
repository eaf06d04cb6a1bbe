//! Linked Nodes in WHM, in a browser.

use crate::browser::{Browser, Wish};
use crate::lab::{Lab, PASSWORD, lab};
use std::time::Duration;

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

/// Gives a child a certificate of its own making, which nobody trusts, and gives the former one back when dropped.
struct SelfSigned {
    child: &'static str,
}

const CERTIFICATE: &str = "/var/cpanel/ssl/cpanel/cpanel.pem";

impl SelfSigned {
    fn on(child: &'static str) -> Self {
        let lab = lab();
        lab.sh(
            child,
            &format!(
                "cd /root && cp -p {CERTIFICATE} kept.pem && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 \
                 -subj /CN={child}.lab.test -addext subjectAltName=DNS:{child}.lab.test -keyout own.key -out own.crt 2>/dev/null && \
                 cat own.key own.crt > {CERTIFICATE}"
            ),
        );
        let made = Self { child };
        made.shows(|issuer| !issuer.contains("authority"));
        made
    }

    /// Waits until the child shows a certificate whose issuer is right.
    fn shows(&self, right: impl Fn(&str) -> bool) {
        let line = format!(
            "openssl s_client -connect {0}.lab.test:2087 -servername {0}.lab.test </dev/null 2>/dev/null | openssl x509 -noout -issuer",
            self.child
        );
        lab().until("the child shows the certificate", Duration::from_secs(30), || right(&lab().sh("parent", &line)));
    }
}

impl Drop for SelfSigned {
    fn drop(&mut self) {
        let back = lab().try_exec(self.child, &["sh", "-c", &format!("mv /root/kept.pem {CERTIFICATE}")]);
        if back.status.success() && !std::thread::panicking() {
            self.shows(|issuer| issuer.contains("authority"));
        }
    }
}

/// A child whose certificate is not trusted: shown, compared, confirmed; linked with root's password; unlinked with its token's fate.
pub fn linking_an_untrusted_child() {
    let lab = lab();
    root_password(lab, "parent");
    root_password(lab, "mail2");
    lab.recall("mail2");
    let browser = Browser::signed_in(Wish::default(), "root");

    // Unlinked on its page, with the token expiring.
    ours(&browser, "?page=node&alias=mail2");
    browser.until("Rotate the token");
    browser.look("node");
    assert!(browser.has("input[name=token_fate][value=expire_24h]:checked"), "the token expires unless told otherwise");
    browser.click_on("#unlink");
    browser.until("Link Server Nodes");
    browser.until("mail1.lab.test");
    assert!(!browser.has("#nodes tr[data-alias=mail2]"), "{}", browser.text());

    let untrusted = SelfSigned::on("mail2");
    ours(&browser, "");
    browser.follow("Link a server");
    browser.until("Which server");
    browser.look("link");
    browser.fill("hostname", "mail2.lab.test");
    browser.fill("alias", "mail2");
    browser.press("Look at the server");
    browser.until("This system does not trust it");
    browser.look("link-certificate");
    let own = lab.sh("mail2", "openssl x509 -noout -fingerprint -sha256 -in /root/own.crt");
    let own = own.trim().rsplit_once('=').expect("a fingerprint").1.to_owned();
    assert!(browser.text().replace([' ', '\n'], "").contains(&own.replace([' ', '\n'], "")), "{own}: {}", browser.text());

    // A wrong password links nothing, and comes back in no page.
    browser.click_on("#confirm");
    browser.click_on("#by-password");
    browser.fill("secret", "Wrong-Secret-31!");
    browser.click_on("#link");
    browser.until("was not linked");
    assert!(!browser.source().contains("Wrong-Secret-31!"));
    browser.look("link-refused");
    browser.click_on("#confirm");
    browser.click_on("#by-password");
    browser.fill("secret", PASSWORD);
    browser.click_on("#link");
    browser.until_within("is linked.", Duration::from_secs(60));
    browser.look("linked");
    let files = lab.sh("parent", &format!("grep -rlF '{PASSWORD}' /var/lib/linked-nodes /var/cpanel/linked-nodes /etc/linked-nodes /var/log/linked-nodes* 2>/dev/null || true"));
    assert_eq!(files.trim(), "", "the password is stored");
    let node = lab.product_json("parent", &["node", "show", "mail2", "--json"]);
    assert_eq!(node["tls_verified"], false, "{node}");

    // The certificate confirmed is the only one taken: the child is linked anew with a trusted one afterwards.
    drop(untrusted);
    lab.product("parent", &["node", "unlink", "mail2"]);
    lab.link("mail2");
}

/// Create a New Account: the field, and the account's mail is on the child from its first message on.
pub fn created_from_whms_form() {
    let lab = lab();
    root_password(lab, "parent");
    let browser = Browser::signed_in(Wish::default(), "root");
    browser.follow("Create a New Account");
    browser.until("Mail child node");
    browser.look("create-account");
    browser.fill("domain", "formmade.test");
    browser.fill("username", "formmade");
    browser.fill("password", PASSWORD);
    browser.choose("linkednodes_mail_node", "mail1");
    browser.press("Create");
    browser.until_within("Account Creation Ok", Duration::from_secs(60));
    lab.until("the account is on mail1", Duration::from_secs(60), || place_of(lab, "formmade") == "mail1");
    lab.mailbox("formmade", "info");
    let sent = lab.smtp("parent.lab.test", "info@formmade.test", "formmade", 3);
    assert!(sent.to_string().contains("formmade"), "{sent}");
    lab.until("the messages are on the child", Duration::from_secs(30), || lab.message_files("mail1", "formmade") == 3);
    assert_eq!(lab.message_files("parent", "formmade"), 0);
    // Modify an Account shows where it is, and moves it.
    browser.page("/scripts/edituser?user=formmade");
    browser.until("Mail child node");
    browser.look("modify-account");
    browser.choose("linkednodes_mail_node", ".local");
    browser.press("Save");
    browser.until_within("Account Modified", Duration::from_secs(60));
    lab.until("the account is back", Duration::from_secs(120), || place_of(lab, "formmade").is_empty());
    assert_eq!(lab.message_files("parent", "formmade"), 3);
}

/// The child an account's mail is on; empty for the parent.
fn place_of(lab: &Lab, user: &str) -> String {
    let accounts = lab.product_json("parent", &["account", "list", "--json"]);
    let row = accounts.as_array().expect("rows").iter().find(|row| row["user"] == user).cloned().unwrap_or_default();
    row["child"].as_str().unwrap_or_default().to_owned()
}

/// Selects accounts in the list and goes to their plan.
fn plan(browser: &Browser, users: &[&str], to: &str) {
    ours(browser, "?page=accounts&rows=100");
    select(browser, users);
    browser.choose("to", to);
    browser.click_on("#plan");
    browser.until_within(&format!("{0} of {0} can move", users.len()), Duration::from_secs(60));
}

/// Selects accounts of a list, however long: in a window that holds all of it, the bar below covers none.
fn select(browser: &Browser, users: &[&str]) {
    browser.resize((1280, 6000));
    for user in users {
        browser.tick("user", user);
    }
    browser.resize((1280, 900));
}

/// Three accounts are selected, planned, distributed and watched; then dedistributed, without scripts.
pub fn three_accounts_there_and_back() {
    let lab = lab();
    root_password(lab, "parent");
    let users = ["first3", "second3", "third3"];
    for user in users {
        lab.account(user);
        lab.lab(&["fill", &format!("info@{user}.test"), "--messages", "400", "--folders", "6", "--big", "1"]);
    }
    let counts = users.map(|user| lab.message_files("parent", user));
    let browser = Browser::signed_in(Wish::default(), "root");
    plan(&browser, &users, "mail1");
    browser.look("plan");
    browser.click_on("#start");
    browser.until("Under way");
    browser.shot("moves-running");
    browser.accessible();
    // Live: the page that is open says by itself that they have ended.
    browser.until_within("None.", Duration::from_secs(180));
    for user in users {
        assert_eq!(place_of(lab, user), "mail1", "{user}: {:#?}", lab.moved(user, Duration::from_secs(60)));
    }
    browser.look("moves");
    browser.click_on("#moves tbody tr:first-child th a");
    browser.until("the same on both sides");
    browser.look("move");
    assert_eq!(users.map(|user| lab.message_files("mail1", user)), counts);
    ours(&browser, "?page=account&user=first3");
    browser.until_within("leads there", Duration::from_secs(30));
    browser.look("account");
    drop(browser);

    let browser = Browser::signed_in(Wish { scripts: false, ..Wish::default() }, "root");
    ours(&browser, "?page=accounts&on=mail1&rows=100");
    select(&browser, &users);
    browser.choose("to", ".local");
    browser.click_on("#plan");
    browser.until_again("3 of 3 can move", Duration::from_secs(60));
    browser.click_on("#start");
    browser.until("Under way");
    // The page comes again by itself.
    browser.until_within("None.", Duration::from_secs(180));
    assert_eq!(users.map(|user| lab.message_files("parent", user)), counts);
    assert_eq!(users.map(|user| place_of(lab, user)), ["", "", ""]);
}

/// The child is dead: what will be lost is said, the name is typed, and the account works on the parent at once.
pub fn forced_with_the_child_dead() {
    let lab = lab();
    root_password(lab, "parent");
    lab.createacct("stranded", &["mail_node_alias=mail2"]);
    lab.mailbox("stranded", "info");
    lab.smtp("parent.lab.test", "info@stranded.test", "stranded", 2);
    lab.until("the messages are on the child", Duration::from_secs(30), || lab.message_files("mail2", "stranded") == 2);
    lab.lab(&["stop", "mail2", "--kill"]);
    let revived = Revived;
    let browser = Browser::signed_in(Wish::default(), "root");
    ours(&browser, "");
    browser.until_again("in trouble", Duration::from_secs(120));
    browser.look("nodes-trouble");
    ours(&browser, "?page=accounts&on=mail2&rows=100");
    select(&browser, &["stranded"]);
    browser.click_on("button#force");
    browser.until("Mail is lost.");
    browser.look("force");
    browser.fill("confirm", "mail");
    browser.click_on("button#force");
    browser.until("Type");
    assert_eq!(place_of(lab, "stranded"), "mail2", "a wrong confirmation forces nothing");
    browser.fill("confirm", "mail2");
    browser.click_on("button#force");
    lab.until("the account is on the parent", Duration::from_secs(60), || place_of(lab, "stranded").is_empty());
    browser.look("forced");
    let sent = lab.smtp("parent.lab.test", "info@stranded.test", "again", 1);
    assert!(sent.to_string().contains("again"), "{sent}");
    lab.until("mail arrives on the parent", Duration::from_secs(30), || lab.message_files("parent", "stranded") == 1);
    drop(revived);
}

/// Starts `mail2` again however the test ends.
struct Revived;

impl Drop for Revived {
    fn drop(&mut self) {
        lab().lab(&["start", "mail2"]);
    }
}

/// From the menu through selection and plan to the start of a move and its end, by keyboard alone.
pub fn by_keyboard_alone() {
    const ENTER: &str = "\u{e007}";
    const SPACE: &str = "\u{e00d}";
    let lab = lab();
    root_password(lab, "parent");
    lab.account("keyed");
    let browser = Browser::signed_in(Wish::default(), "root");
    browser.tab_to("Linked Nodes");
    browser.keys(ENTER);
    browser.until("Link Server Nodes");
    browser.tab_to("Accounts");
    browser.keys(ENTER);
    browser.until("keyed.test");
    browser.tab_to("Select keyed");
    browser.keys(SPACE);
    browser.until("1 selected");
    browser.tab_to("Show the plan");
    browser.keys(ENTER);
    browser.until_within("1 of 1 can move", Duration::from_secs(60));
    browser.tab_to("Distribute 1 account");
    browser.keys(ENTER);
    // The page is made anew when the move has ended: nothing is asked of the browser before that.
    browser.until_within("the same on both sides", Duration::from_secs(120));
    lab.until("the account is on a child", Duration::from_secs(120), || !place_of(lab, "keyed").is_empty());
    for (page, last) in [("?page=link", "Cancel"), ("?page=node&alias=mail1", "Rotate"), ("?page=moves", "Moves")] {
        ours(&browser, page);
        browser.tab_to(last);
    }
}

/// The two pictures of the README, into the folder that `SCREENSHOTS` names: the nodes, and moves under way.
pub fn pictures() {
    let lab = lab();
    root_password(lab, "parent");
    for (user, child) in [("orchard", "mail1"), ("museum", "mail1"), ("cyclists", "mail2")] {
        lab.createacct(user, &[&format!("mail_node_alias={child}")]);
        lab.mailbox(user, "info");
        lab.lab(&["fill", &format!("info@{user}.test"), "--node", child, "--messages", "500", "--big", "2"]);
    }
    let users = ["bakery", "printers", "lighthouse"];
    for user in users {
        lab.account(user);
        lab.lab(&["fill", &format!("info@{user}.test"), "--messages", "4000", "--folders", "20", "--big", "6"]);
    }
    let browser = Browser::signed_in(Wish { size: (1280, 900), ..Wish::default() }, "root");
    ours(&browser, "");
    browser.until("mail2.lab.test");
    browser.shot("whm-nodes");
    plan(&browser, &users, "mail1");
    browser.click_on("#start");
    browser.until("Under way");
    let some = "return [...document.querySelectorAll('progress')].filter(bar => bar.value > 100 && bar.value < 950).length > 0";
    lab.until("a bar has come some way", Duration::from_secs(60), || browser.script(some) == true);
    browser.shot("whm-moves");
    browser.until_within("None.", Duration::from_secs(300));
    for user in users {
        assert_eq!(place_of(lab, user), "mail1", "{user}: {:#?}", lab.moved(user, Duration::from_secs(60)));
    }
}
