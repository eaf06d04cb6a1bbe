//! Whatever is done to a distributed account on the parent, its half on the child follows: every event, with the child up, down at the
//! start, lost in the middle, and `serve` killed in the middle. Each ends with both halves equal.

use crate::lab::{Lab, PASSWORD, lab};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
/// Where a drill's wish is written, on either node.
const DRILL: &str = "/var/cpanel/linked-nodes/crash-at";
/// Short waits, so that the table is quick.
const SETTINGS: &str = "health_every=1\nfollow_first_wait_ms=200\nfollow_longest_wait=1\nfollow_patience=20\n";

/// An account on a node, as cPanel's files have it: what its mail depends on.
fn half(lab: &Lab, node: &str, user: &str) -> BTreeMap<String, String> {
    let line = format!(
        "cat /var/cpanel/users/{user} 2>/dev/null | sed 's/^/cp:/'; cat /var/cpanel/userdata/{user}/main 2>/dev/null | sed 's/^/ud:/'; \
         grep '^{user}:' /etc/shadow | cut -d: -f2 | sed 's/^!//;s/^/hash:=/'; grep '^{user}:' /etc/passwd | cut -d: -f7 | sed 's/^/shell:=/'; true"
    );
    const KEPT: [&str; 7] = ["CONTACTEMAIL", "DNS", "MAXPOP", "MAX_EMAIL_PER_HOUR", "QUOTA", "SUSPENDED", "USER"];
    let mut found = BTreeMap::new();
    let mut userdata = String::new();
    for line in lab.sh(node, &line).lines() {
        match line.split_once(':') {
            Some(("cp", pair)) => {
                if let Some((key, value)) = pair.split_once('=').filter(|(key, _)| KEPT.contains(key)) {
                    found.insert(key.to_owned(), value.to_owned());
                }
            }
            Some(("ud", rest)) => userdata.push_str(&format!("{rest}\n")),
            Some((key, value)) => drop(found.insert(key.to_owned(), value.to_owned())),
            None => {}
        }
    }
    // The order in which domains came does not matter.
    let mut lines: Vec<&str> = userdata.lines().collect();
    lines.sort_unstable();
    found.insert("domains".into(), lines.join("|"));
    found
}

fn remainders(lab: &Lab, user: &str) -> Vec<Value> {
    let rows = lab.product_json("parent", &["account", "remainders", "--json"]);
    rows.as_array().expect("rows").iter().filter(|row| row["user"] == user).cloned().collect()
}

fn equal(lab: &Lab, parent: &str) -> bool {
    half(lab, "parent", parent) == half(lab, "mail1", parent) && remainders(lab, parent).is_empty()
}

/// Waits until both halves are equal, and says how they differ when they are not in time.
fn ends_equal(lab: &Lab, what: &str, user: &str) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !equal(lab, user) {
        assert!(
            std::time::Instant::now() < deadline,
            "{what}: the halves differ:\n{:#?}\n{:#?}\n{:#?}\n{}",
            half(lab, "parent", user),
            half(lab, "mail1", user),
            remainders(lab, user),
            lab.sh("parent", "tail -25 /var/log/linked-nodes.log"),
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    let proxies = lab.whmapi1("parent", "get_service_proxy_backends", &[&format!("username={user}")]);
    assert!(proxies.to_string().contains("mail1.lab.test"), "{what}: sign-ins go to the child: {proxies}");
}

/// What cPanel does, past every shim, as its own pages do.
fn panel(lab: &Lab, function: &str, arguments: &[&str]) {
    let done = lab.whmapi1("parent", function, arguments);
    assert_eq!(done["metadata"]["result"], 1, "{function} {arguments:?}: {done}");
}

/// One event: its name, and doing it for the n-th time to a user; the user's name afterwards.
type Event = (&'static str, fn(&Lab, &str, usize) -> String);

fn same(user: &str) -> String {
    user.to_owned()
}

const EVENTS: [Event; 11] = [
    ("suspendacct", |lab, user, _| {
        panel(lab, "suspendacct", &[&format!("user={user}"), "reason=unpaid"]);
        same(user)
    }),
    ("unsuspendacct", |lab, user, _| {
        panel(lab, "unsuspendacct", &[&format!("user={user}")]);
        same(user)
    }),
    ("ChangePasswd", |lab, user, n| {
        panel(lab, "passwd", &[&format!("user={user}"), &format!("password=Gx{n}!uZ81-mmKq72")]);
        same(user)
    }),
    ("Modify contact", |lab, user, n| {
        panel(
            lab,
            "modifyacct",
            &[&format!("user={user}"), &format!("contactemail=c{n}@else.test"), &format!("MAXPOP={}", 20 + n)],
        );
        same(user)
    }),
    ("change_package", |lab, user, n| {
        let name = format!("package{n}");
        lab.whmapi1("parent", "addpkg", &[&format!("name={name}"), &format!("maxpop={}", 40 + n), "quota=2048"]);
        panel(lab, "changepackage", &[&format!("user={user}"), &format!("pkg={name}")]);
        panel(lab, "modifyacct", &[&format!("user={user}"), "MAXADDON=unlimited", "MAXPARK=unlimited", "MAXSUB=unlimited"]);
        same(user)
    }),
    ("Domain::addsubdomain", |lab, user, n| {
        let main = main_domain(lab, user);
        panel(lab, "create_subdomain", &[&format!("domain=s{n}.{main}"), &format!("document_root=public_html/s{n}")]);
        same(user)
    }),
    ("Domain::park addon", |lab, user, n| {
        let main = main_domain(lab, user);
        let (domain, host) = (format!("domain=addon{n}.test"), format!("web_vhost_domain=s{n}.{main}"));
        panel(lab, "create_parked_domain_for_user", &[&domain, &format!("username={user}"), &host]);
        same(user)
    }),
    ("Domain::park", |lab, user, n| {
        let main = main_domain(lab, user);
        let (domain, host) = (format!("domain=parked{n}.test"), format!("web_vhost_domain={main}"));
        panel(lab, "create_parked_domain_for_user", &[&domain, &format!("username={user}"), &host]);
        same(user)
    }),
    ("Domain::unpark", |lab, user, n| {
        panel(lab, "delete_domain", &[&format!("domain=addon{n}.test")]);
        panel(lab, "delete_domain", &[&format!("domain=s{n}.{}", main_domain(lab, user))]);
        same(user)
    }),
    ("Modify main domain", |lab, user, n| {
        panel(lab, "modifyacct", &[&format!("user={user}"), &format!("DNS=main{n}.test")]);
        same(user)
    }),
    ("Modify name", |lab, user, n| {
        let new = format!("renamed{n}");
        panel(lab, "modifyacct", &[&format!("user={user}"), &format!("newuser={new}")]);
        new
    }),
];

fn main_domain(lab: &Lab, user: &str) -> String {
    half(lab, "parent", user)["DNS"].clone()
}

fn settle(lab: &Lab, text: &str) {
    for node in ["parent", "mail1"] {
        lab.sh(node, &format!("printf '{text}' > /var/cpanel/linked-nodes/settings; rm -f {DRILL}"));
    }
}

fn serve_pid(lab: &Lab, node: &str) -> String {
    lab.sh(node, "pgrep -xf '.*linked-nodes serve' | head -1 || true").trim().to_owned()
}

/// Does `act`, during which `serve` of `node` is to end itself at `point`, and waits until it is back.
fn killed(lab: &Lab, node: &str, point: &str, act: impl FnOnce() -> String) -> String {
    let before = serve_pid(lab, node);
    lab.sh(node, &format!("printf %s {point} > {DRILL}"));
    let user = act();
    lab.until(&format!("serve of {node} ended at {point}"), PATIENCE, || {
        lab.sh(node, &format!("test -e {DRILL} && echo waiting || true")).is_empty()
    });
    lab.until(&format!("serve of {node} is back"), PATIENCE, || {
        serve_pid(lab, node) != before && lab.product(node, &["status"]).status.success()
    });
    user
}

/// Every event under one condition, one after another on one account.
fn all(user: &str, n: usize, condition: impl Fn(&Lab, &mut dyn FnMut() -> String) -> String) {
    let lab = lab();
    lab.createacct(user, &["mail_node_alias=mail1", "maxaddon=unlimited", "maxpark=unlimited", "maxsub=unlimited"]);
    lab.mailbox(user, "info");
    settle(lab, SETTINGS);
    ends_equal(lab, "as it was made", user);
    let mut user = user.to_owned();
    for (name, event) in EVENTS {
        let before = user.clone();
        user = condition(lab, &mut || event(lab, &before, n));
        ends_equal(lab, name, &user);
        if user != before {
            assert!(half(lab, "mail1", &before).len() == 1, "{name}: “{before}” is still on the child");
        }
    }
    // Mail works under every name that is left, on the child alone.
    let domain = main_domain(lab, &user);
    let address = format!("info@{domain}");
    let files = lab.message_files("mail1", &user);
    let sent = lab.smtp("parent.lab.test", &address, "after", 1);
    assert_eq!(sent["sent"].as_array().map(Vec::len), Some(1), "{sent}");
    // Exim may remember that the child was down a minute ago, and not try it before its next run of the queue.
    let patience = Duration::from_secs(180);
    lab.until("the message is on the child", patience, || lab.message_files("mail1", &user) == files + 1);
    assert_eq!(lab.message_files("parent", &user), 0);
    let dump = lab.imap_dump("parent.lab.test", &address, PASSWORD);
    assert_eq!(crate::lab::messages(&dump).len(), files + 1, "{dump}");
    // The end of it: both halves go.
    let gone = condition(lab, &mut || {
        panel(lab, "removeacct", &[&format!("username={user}")]);
        user.clone()
    });
    lab.until("both halves are gone", PATIENCE, || half(lab, "mail1", &gone).len() == 1 && remainders(lab, &gone).is_empty());
    let routes = lab.sh("parent", "cat /etc/manualmx");
    assert!(!routes.contains(&domain), "a route is left: {routes}");
    settle(lab, "");
}

/// With the child up.
pub fn child_up() {
    all("follower", 1, |_, event| event());
}

/// With the child down: the event goes on, what is left has a name and a command, and is followed when the child is back.
pub fn child_down() {
    all("patient", 2, |lab, event| {
        lab.lab(&["stop", "mail1"]);
        let user = event();
        let mut rows = Vec::new();
        lab.until("a named remainder", PATIENCE, || {
            rows = remainders(lab, &user);
            rows.iter().any(|row| row["trouble"].is_string())
        });
        assert!(
            rows.iter().all(|row| row["alias"] == "mail1" && row["command"] == format!("linked-nodes account sync {user}")),
            "{rows:?}"
        );
        lab.lab(&["start", "mail1"]);
        user
    });
}

/// With the child lost in the middle: its `serve` ends after some steps are done there.
pub fn child_lost() {
    all("unlucky2", 3, |lab, event| killed(lab, "mail1", "served:before", &mut *event));
}

/// With the parent's `serve` killed in the middle, and a second time when it takes the work up again.
pub fn serve_killed() {
    all("restless", 4, |lab, event| {
        // Whatever is being done: following, or removing.
        let before = serve_pid(lab, "parent");
        lab.sh("parent", &format!("printf %s any:middle > {DRILL}"));
        let user = event();
        lab.until("serve ended in the middle", PATIENCE, || {
            lab.sh("parent", &format!("test -e {DRILL} && echo waiting || true")).is_empty()
        });
        lab.until("serve is back", PATIENCE, || {
            serve_pid(lab, "parent") != before && lab.product("parent", &["status"]).status.success()
        });
        user
    });
}

/// `account sync` finishes what is left by itself; an account of the same name that is not ours is never touched.
pub fn sync_finishes() {
    let lab = lab();
    settle(lab, "health_every=3600\nfollow_first_wait_ms=3600000\nfollow_longest_wait=3600\n");
    lab.createacct("lonely", &["mail_node_alias=mail1"]);
    ends_equal(lab, "as it was made", "lonely");
    lab.lab(&["stop", "mail1"]);
    panel(lab, "suspendacct", &["user=lonely"]);
    lab.until("a named remainder", PATIENCE, || remainders(lab, "lonely").iter().any(|row| row["trouble"].is_string()));
    lab.lab(&["start", "mail1"]);
    let done = lab.product_json("parent", &["account", "sync", "lonely", "--json"]);
    assert!(done["left"].as_array().is_some_and(Vec::is_empty) && done["changed"].to_string().contains("suspended"), "{done}");
    assert!(equal(lab, "lonely"));
    // The child's own: root there makes an account of the name that ours is to get.
    lab.whmapi1("mail1", "createacct", &["username=strange", "domain=strange.test", &format!("password={PASSWORD}")]);
    panel(lab, "modifyacct", &["user=lonely", "newuser=strange"]);
    lab.until("a named remainder", PATIENCE, || remainders(lab, "strange").iter().any(|row| row["trouble"].is_string()));
    let left = lab.refused("parent", &["account", "sync", "strange"]);
    assert!(left.contains("not ours to touch"), "{left}");
    assert_eq!(half(lab, "mail1", "strange")["DNS"], "strange.test");
    lab.whmapi1("mail1", "removeacct", &["username=strange"]);
    lab.product_json("parent", &["account", "sync", "strange", "--json"]);
    assert!(equal(lab, "strange"), "{:?} {:?}", half(lab, "parent", "strange"), half(lab, "mail1", "strange"));
    settle(lab, "");
}

/// The child refuses what root does there past the parent, and lets the parent's own calls through.
pub fn child_refuses_root() {
    let lab = lab();
    lab.createacct("rooted", &["mail_node_alias=mail1"]);
    lab.mailbox("rooted", "info");
    let words = [
        "/usr/local/cpanel/bin/uapi",
        "--user=rooted",
        "--output=json",
        "Email",
        "delete_pop",
        "email=info",
        "domain=rooted.test",
    ];
    let said = String::from_utf8_lossy(&lab.try_exec("mail1", &words).stdout).into_owned();
    assert!(said.contains("parent.lab.test"), "refused with the parent's name: {said}");
    let said = lab.whmapi1("mail1", "removeacct", &["username=rooted"]);
    assert!(said["metadata"]["result"] == 0 && said.to_string().contains("parent.lab.test"), "{said}");
    let changed = lab.our_uapi("parent", "rooted", "Email", "edit_pop_quota", &["email=info", "domain=rooted.test", "quota=70"]);
    assert_eq!(changed["status"], 1, "{changed}");
    // A program is refused where no shim stands too.
    let words = [
        "/usr/local/cpanel/bin/uapi",
        "--user=rooted",
        "--output=json",
        "Email",
        "add_forwarder",
        "email=run",
        "domain=rooted.test",
        "fwdopt=pipe",
        "pipefwd=bin/run",
    ];
    let said = String::from_utf8_lossy(&lab.try_exec("parent", &words).stdout).into_owned();
    assert!(said.contains("\"status\":0") && said.contains("program"), "{said}");
    // Written on the parent itself, past its shim: the child follows.
    let words = [
        "/usr/local/cpanel/bin/uapi",
        "--user=rooted",
        "--output=json",
        "Email",
        "add_forwarder",
        "email=fwd",
        "domain=rooted.test",
        "fwdopt=fwd",
        "fwdemail=x@outside.test",
    ];
    let said = String::from_utf8_lossy(&lab.try_exec("parent", &words).stdout).into_owned();
    assert!(said.contains("\"status\":1"), "{said}");
    lab.until("the forwarder is on the child", PATIENCE, || {
        lab.sh("mail1", "grep -c fwd@rooted.test /etc/valiases/rooted.test || true").trim() == "1"
    });
}

/// Twenty hooks at once are twenty answers.
pub fn twenty_hooks() {
    let lab = lab();
    lab.createacct("hooked", &["mail_node_alias=mail1"]);
    let line = "for i in $(seq 20); do (echo '{\"data\":{\"user\":\"hooked\",\"unknown\":[{}]},\"more\":1}' | /usr/local/cpanel/3rdparty/bin/linked-nodes-hook --category=Passwd --event=ChangePasswd --stage=post; echo) & done; wait";
    let said = lab.sh("parent", line);
    let good = said.lines().filter(|line| line.starts_with("1 mail1 follows")).count();
    assert_eq!(good, 20, "{said}");
    ends_equal(lab, "after twenty events", "hooked");
}
