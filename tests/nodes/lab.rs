//! A lab of real nodes for the tests: up once, with the product installed and linked, down at the end.

use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The product inside a node.
pub const PRODUCT: &str = "/usr/local/bin/linked-nodes";
/// The lab's name unless `LAB_NAME` says otherwise. A lab of this name is taken down first, so it is not a developer's.
const NAME: &str = "test";
/// Passwords of everything the tests make: strong enough for cPanel's meter.
pub const PASSWORD: &str = "Xk7!pQz93-wVbR2m";

/// What the tests do things with.
pub struct Lab {
    /// The lab's name: runs under different names go on side by side.
    pub name: String,
    lab: PathBuf,
    product: PathBuf,
    /// Where files are exchanged with commands in nodes.
    pub scratch: PathBuf,
}

static LAB: OnceLock<Lab> = OnceLock::new();

/// The lab of this run.
pub fn lab() -> &'static Lab {
    LAB.get().expect("the lab is up while tests run")
}

/// Brings the lab up, installs the product in every node and links both children.
pub fn up() -> &'static Lab {
    let bin =
        std::env::current_exe().expect("own path").parent().and_then(|deps| deps.parent()).expect("target folder").to_owned();
    let scratch = std::env::temp_dir().join(format!("linked-nodes-test.{}", std::process::id()));
    std::fs::create_dir_all(&scratch).expect("scratch folder");
    let name = std::env::var("LAB_NAME").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| NAME.into());
    let lab = Lab { name, lab: bin.join("lab"), product: PathBuf::from(env!("CARGO_BIN_EXE_linked-nodes")), scratch };
    assert!(lab.lab.exists(), "{} is not built: run the tests with --workspace", lab.lab.display());
    lab.run_lab(&["down"]);
    let up = lab.run_lab(&["up", "--children", "2"]);
    assert!(up.status.success(), "the lab does not come up: {}", text(&up));
    let lab = LAB.get_or_init(|| lab);
    for node in ["parent", "mail1", "mail2"] {
        lab.install(node);
    }
    for child in ["mail1", "mail2"] {
        lab.link(child);
    }
    lab
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

impl Lab {
    fn run_lab(&self, arguments: &[&str]) -> Output {
        Command::new(&self.lab)
            .args(["--name", &self.name])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("starting the lab")
    }

    /// Takes the lab down and says what it left behind.
    pub fn down(&self) -> Result<(), String> {
        let down = self.run_lab(&["down"]);
        let _ = std::fs::remove_dir_all(&self.scratch);
        if down.status.success() { Ok(()) } else { Err(text(&down)) }
    }

    /// A command of the lab, for instance `fill`.
    pub fn lab(&self, arguments: &[&str]) -> String {
        let output = self.run_lab(arguments);
        assert!(output.status.success(), "lab {arguments:?}: {}", text(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A command in a node, to be configured and started by the caller.
    pub fn command(&self, node: &str, words: &[&str]) -> Command {
        let mut command = Command::new(&self.lab);
        command.args(["--name", &self.name, "exec", node, "--"]).args(words).stdin(Stdio::null());
        command
    }

    /// Runs a command in a node to its end.
    pub fn try_exec(&self, node: &str, words: &[&str]) -> Output {
        self.command(node, words).output().expect("starting the lab")
    }

    /// Runs a command in a node that must succeed; returns what it printed.
    pub fn exec(&self, node: &str, words: &[&str]) -> String {
        let output = self.try_exec(node, words);
        assert!(output.status.success(), "{node}: {words:?}: {}", text(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs a shell line in a node.
    pub fn sh(&self, node: &str, line: &str) -> String {
        self.exec(node, &["sh", "-c", line])
    }

    /// cPanel's own `whmapi1` in a node.
    pub fn whmapi1(&self, node: &str, function: &str, arguments: &[&str]) -> Value {
        let mut words = vec!["/usr/local/cpanel/bin/whmapi1", "--output=json", function];
        words.extend(arguments);
        serde_json::from_str(&self.exec(node, &words)).expect("JSON from whmapi1")
    }

    /// The product's `whmapi1` in a node: the whole envelope.
    pub fn our_whmapi1(&self, node: &str, function: &str, arguments: &[&str]) -> Value {
        let mut words = vec![PRODUCT, "whmapi1", "--output=json", function];
        words.extend(arguments);
        serde_json::from_slice(&self.try_exec(node, &words).stdout).expect("JSON from linked-nodes whmapi1")
    }

    /// The product's `uapi` in a node: the flat result.
    pub fn our_uapi(&self, node: &str, user: &str, module: &str, function: &str, arguments: &[&str]) -> Value {
        let user = format!("--user={user}");
        let mut words = vec![PRODUCT, "uapi", &user, "--output=json", module, function];
        words.extend(arguments);
        let mut wrapped: Value =
            serde_json::from_slice(&self.try_exec(node, &words).stdout).expect("JSON from linked-nodes uapi");
        wrapped["result"].take()
    }

    /// A word of the product's command line in a node.
    pub fn product(&self, node: &str, words: &[&str]) -> Output {
        let mut all = vec![PRODUCT];
        all.extend(words);
        self.try_exec(node, &all)
    }

    /// A word of the product's command line that must succeed and prints JSON.
    pub fn product_json(&self, node: &str, words: &[&str]) -> Value {
        let output = self.product(node, words);
        assert!(output.status.success(), "{node}: linked-nodes {words:?}: {}", text(&output));
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("linked-nodes {words:?} prints no JSON: {}", text(&output)))
    }

    /// A word that must fail: its message.
    pub fn refused(&self, node: &str, words: &[&str]) -> String {
        let output = self.product(node, words);
        assert!(!output.status.success(), "{node}: linked-nodes {words:?} succeeded: {}", text(&output));
        text(&output)
    }

    /// Puts the product's binary into a node and installs it with its own installer.
    pub fn install(&self, node: &str) {
        let product = self.product.to_str().expect("path");
        self.lab(&["push", node, product, "/root/linked-nodes"]);
        self.exec(node, &["/root/linked-nodes", "install"]);
        // No systemd runs in a node; this is what the installer asks an administrator to do.
        self.sh(node, "printf 'setsid /usr/local/bin/linked-nodes supervise </dev/null >>/var/log/linked-nodes.log 2>&1 &\n' > /etc/rc.local");
        self.until(&format!("linked-nodes serve answers on {node}"), Duration::from_secs(30), || {
            self.product(node, &["status"]).status.success()
        });
        self.until(&format!("the shim answers on {node}"), Duration::from_secs(30), || {
            self.try_exec("client", &["curl", "-sS", "-o", "/dev/null", &format!("https://{node}.lab.test:2087/")])
                .status
                .success()
        });
    }

    /// A root-level token of a node.
    pub fn token(&self, node: &str, name: &str) -> String {
        self.whmapi1(node, "api_token_revoke", &[&format!("token_name={name}")]);
        let made = self.whmapi1(node, "api_token_create", &[&format!("token_name={name}")]);
        made["data"]["token"].as_str().unwrap_or_else(|| panic!("no token: {made}")).to_owned()
    }

    /// Links a child under its own name.
    pub fn link(&self, child: &str) {
        let token = self.token(child, "linked-nodes");
        let output = self.product("parent", &["node", "link", child, &format!("{child}.lab.test"), "--token", &token]);
        assert!(output.status.success(), "linking {child}: {}", text(&output));
    }

    /// Makes an account on the parent, and the mailbox `info@DOMAIN` in it.
    pub fn account(&self, user: &str) -> String {
        let domain = format!("{user}.test");
        self.createacct(user, &[]);
        self.mailbox(user, "info");
        domain
    }

    /// `createacct` through the shim as a billing panel calls it; returns the envelope.
    pub fn createacct(&self, user: &str, more: &[&str]) -> Value {
        let (username, domain) = (format!("username={user}"), format!("domain={user}.test"));
        let password = format!("password={PASSWORD}");
        let mut arguments = vec![username.as_str(), domain.as_str(), password.as_str()];
        arguments.extend(more);
        let made = self.our_whmapi1("parent", "createacct", &arguments);
        assert_eq!(made["metadata"]["result"], 1, "createacct {user}: {made}");
        made
    }

    /// Makes a mailbox on the parent, wherever it then lives.
    pub fn mailbox(&self, user: &str, local: &str) {
        let (email, domain) = (format!("email={local}"), format!("domain={user}.test"));
        let made =
            self.our_uapi("parent", user, "Email", "add_pop", &[&email, &domain, &format!("password={PASSWORD}"), "quota=0"]);
        assert_eq!(made["status"], 1, "add_pop {local}@{user}.test: {made}");
    }

    /// Brings back every account that a child serves and ends its link.
    pub fn free(&self, child: &str) {
        self.recall(child);
        let unlinked = self.product("parent", &["node", "unlink", child]);
        assert!(unlinked.status.success(), "unlinking {child}: {}", text(&unlinked));
    }

    /// Brings back every account that a child serves.
    pub fn recall(&self, child: &str) {
        let accounts = self.product_json("parent", &["account", "list", "--json"]);
        for row in accounts.as_array().expect("rows").iter().filter(|row| row["child"] == child) {
            let user = row["user"].as_str().expect("user");
            let back = self.product("parent", &["account", "dedistribute", user]);
            assert!(back.status.success(), "{user} does not come back: {}", text(&back));
        }
    }

    /// Polls until `condition` holds.
    pub fn until(&self, what: &str, patience: Duration, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + patience;
        while !condition() {
            assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The newest move of an account.
    pub fn last_move(&self, user: &str) -> Option<Value> {
        let output = self.product("parent", &["move", "list", "--json"]);
        let moves: Value = serde_json::from_slice(&output.stdout).ok()?;
        moves.as_array()?.iter().find(|row| row["user"] == user).cloned()
    }

    /// Waits for the end of an account's newest move and returns it, with its log.
    pub fn moved(&self, user: &str, patience: Duration) -> Value {
        let deadline = Instant::now() + patience;
        loop {
            let last = self.last_move(user);
            if let Some(ended) = last.as_ref().filter(|row| row["ended"] == true) {
                let id = ended["id"].to_string();
                return self.product_json("parent", &["move", "show", &id, "--json"]);
            }
            assert!(Instant::now() < deadline, "the move of {user} does not end: {last:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// A mail client in the client node that runs to its end and prints a document.
    pub fn client(&self, words: &[&str]) -> Value {
        let mut all = vec!["/usr/local/cpanel/bin/lab", "client"];
        all.extend(words);
        let output = self.try_exec("client", &all);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("lab client {words:?}: {}", text(&output)))
    }

    /// A mail client in the client node that goes on until its stop file is made; see [`Lab::stop_client`].
    pub fn start_client(&self, name: &str, words: &[&str]) -> Running {
        let (stop, out) = (format!("/root/{name}.stop"), self.scratch.join(format!("{name}.json")));
        self.exec("client", &["rm", "-f", &stop]);
        let mut all = vec!["/usr/local/cpanel/bin/lab", "client"];
        all.extend(words);
        all.extend(["--stop-file", stop.as_str()]);
        let file = std::fs::File::create(&out).expect("a file for the client's document");
        let log = std::fs::File::create(self.scratch.join(format!("{name}.log"))).expect("a file for the client's log");
        let child = self.command("client", &all).stdout(file).stderr(log).spawn().expect("starting a client");
        Running { child, stop, out }
    }

    /// Delivers numbered messages one after another and says which were accepted.
    pub fn smtp(&self, server: &str, to: &str, prefix: &str, count: u32) -> Value {
        let count = count.to_string();
        let words = ["smtp-drip", "--server", server, "--from", "sender@outside.test", "--to", to, "--prefix", prefix];
        self.client(&[&words[..], &["--every-ms", "10", "--count", &count]].concat())
    }

    /// All that a mailbox holds, as an IMAP client sees it.
    pub fn imap_dump(&self, host: &str, user: &str, password: &str) -> Value {
        self.client(&["imap-dump", "--host", host, "--user", user, "--password", password])
    }

    /// Writes a document where commands of the client node can read it.
    pub fn give_client(&self, name: &str, document: &Value) -> String {
        let path = self.scratch.join(format!("{name}.give.json"));
        std::fs::write(&path, document.to_string()).expect("writing a document");
        let there = format!("/root/{name}.json");
        self.lab(&["push", "client", path.to_str().expect("path"), &there]);
        there
    }

    /// Message files below the account's mail directory on a node.
    pub fn message_files(&self, node: &str, user: &str) -> usize {
        let line = format!("find /home/{user}/mail -type f \\( -path '*/cur/*' -o -path '*/new/*' \\) 2>/dev/null | wc -l");
        self.sh(node, &line).trim().parse().expect("a number")
    }
}

/// A mail client that is at work.
pub struct Running {
    child: std::process::Child,
    stop: String,
    out: PathBuf,
}

impl Running {
    /// Tells the client to stop and returns its document.
    pub fn stop(mut self) -> Value {
        lab().exec("client", &["touch", &self.stop]);
        let deadline = Instant::now() + Duration::from_secs(200);
        while self.child.try_wait().expect("waiting for a client").is_none() {
            assert!(Instant::now() < deadline, "a client does not stop");
            std::thread::sleep(Duration::from_millis(50));
        }
        let text = std::fs::read(&self.out).expect("the client's document");
        serde_json::from_slice(&text).unwrap_or_else(|_| {
            let log = std::fs::read_to_string(self.out.with_extension("log")).unwrap_or_default();
            panic!("a client printed no document; it said: {log}")
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The messages of a dump: (folder, message).
pub fn messages(dump: &Value) -> Vec<(String, Value)> {
    let folders = dump["folders"].as_object().expect("folders of a dump");
    folders
        .iter()
        .flat_map(|(name, folder)| {
            folder["messages"].as_array().into_iter().flatten().map(move |message| (name.clone(), message.clone()))
        })
        .collect()
}
