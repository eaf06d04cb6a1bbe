//! A real browser in the lab: Chromium in the client node, as an ordinary user who trusts the lab's authority, driven by WebDriver.

use crate::lab::{Lab, PASSWORD, lab};
use fantoccini::actions::{InputSource as _, KeyAction, KeyActions};
use fantoccini::elements::Element;
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper::Uri;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

/// The user of the client node whom the browser belongs to.
const VISITOR: &str = "visitor";
/// Where chromedriver listens, on the client node's loopback.
const PORT: u16 = 9515;
/// How long a page may take to show what is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// WHM of the lab's parent.
pub const WHM: &str = "https://parent.lab.test:2087";

/// How the browser is to be.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// Whether pages may run scripts.
    pub scripts: bool,
    /// Width and height of the window, CSS pixels.
    pub size: (u32, u32),
}

impl Default for Wish {
    fn default() -> Self {
        Self { scripts: true, size: (1280, 900) }
    }
}

/// A window with one page. The methods wait for what they name, and fail the test when it does not come.
pub struct Browser {
    runtime: Runtime,
    client: Client,
    /// `/cpsess##########`, once signed in.
    prefix: String,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The session may be gone already.
        let _ = self.runtime.block_on(self.client.clone().close());
    }
}

/// Connects inside the client node's network.
#[derive(Debug, Clone)]
struct Inside {
    namespace: PathBuf,
}

impl tower_service::Service<Uri> for Inside {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let namespace = self.namespace.clone();
        Box::pin(async move {
            let stream = connect(&namespace)?;
            stream.set_nonblocking(true)?;
            Ok(TokioIo::new(TcpStream::from_std(stream)?))
        })
    }
}

/// A socket belongs to the network namespace of the thread that made it, so a thread of its own enters that and makes one.
fn connect(namespace: &Path) -> io::Result<std::net::TcpStream> {
    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
    use std::os::fd::AsFd as _;
    let file = std::fs::File::open(namespace)?;
    let enter = move || {
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
        std::net::TcpStream::connect(("127.0.0.1", PORT))
    };
    std::thread::spawn(enter).join().unwrap_or_else(|_| Err(io::Error::other("the connecting thread panicked")))
}

/// Starts chromedriver in the client node, once a run. It ends with the node.
fn driver(lab: &Lab) -> Inside {
    static DRIVER: OnceLock<(Inside, std::process::Child)> = OnceLock::new();
    let (inside, _) = DRIVER.get_or_init(|| {
        let furnish = format!(
            "id {VISITOR} >/dev/null 2>&1 || useradd --create-home {VISITOR}; \
             runuser -u {VISITOR} -- sh -c 'mkdir -p ~/.pki/nssdb && cd ~/.pki/nssdb && certutil -d sql:. -N --empty-password && \
             certutil -d sql:. -A -t C,, -n lab -i /usr/local/share/ca-certificates/linked-nodes-lab.crt'"
        );
        lab.sh("client", &furnish);
        let log = std::fs::File::create(lab.scratch.join("chromedriver.log")).expect("a file for chromedriver's log");
        let run = format!("cd /home/{VISITOR} && exec chromedriver --port={PORT} --log-level=WARNING");
        let errors = log.try_clone().expect("a second handle");
        // Process 1 of the node ends it with all others.
        let child = lab
            .command("client", &["runuser", "-u", VISITOR, "--", "env", &format!("HOME=/home/{VISITOR}"), "sh", "-c", &run])
            .stdout(log)
            .stderr(errors)
            .spawn()
            .expect("starting chromedriver");
        (Inside { namespace: PathBuf::from(format!("/run/netns/ln-{}-client", lab.name)) }, child)
    });
    lab.until("chromedriver listens", Duration::from_secs(30), || connect(&inside.namespace).is_ok());
    inside.clone()
}

/// A command of the browser's own protocol, which WebDriver has no word for.
#[derive(Debug)]
struct Devtools {
    command: &'static str,
    parameters: Value,
}

impl WebDriverCompatibleCommand for Devtools {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (hyper::Method, Option<String>) {
        (hyper::Method::POST, Some(json!({"cmd": self.command, "params": self.parameters}).to_string()))
    }
}

/// The folder that screenshots go to.
pub fn shots() -> PathBuf {
    let folder = std::env::var_os("SCREENSHOTS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/screenshots"), PathBuf::from);
    std::fs::create_dir_all(&folder).expect("a folder for screenshots");
    folder
}

impl Browser {
    /// Opens a window.
    pub fn open(wish: Wish) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let inside = driver(lab());
        let mut preferences = json!({"credentials_enable_service": false, "profile.password_manager_enabled": false});
        if !wish.scripts {
            preferences["profile.managed_default_content_settings.javascript"] = json!(2);
        }
        let arguments = [
            "--headless=new",
            "--disable-gpu",
            "--force-prefers-reduced-motion",
            "--lang=en",
            "--no-first-run",
            // A page that was left is gone, and its connections with it.
            "--disable-features=BackForwardCache",
        ];
        let wanted = json!({
            "goog:chromeOptions": {"args": arguments, "prefs": preferences},
            "goog:loggingPrefs": {"browser": "ALL"},
        });
        let capabilities: Capabilities = serde_json::from_value(wanted).expect("capabilities");
        let client = runtime
            .block_on(ClientBuilder::new(inside).capabilities(capabilities).connect(&format!("http://127.0.0.1:{PORT}")))
            .expect("a browser");
        let browser = Self { runtime, client, prefix: String::new() };
        browser.resize(wish.size);
        browser
    }

    /// Opens a window and signs in to the parent's WHM.
    pub fn signed_in(wish: Wish, user: &str) -> Self {
        let mut browser = Self::open(wish);
        browser.sign_in(user, PASSWORD);
        browser
    }

    fn devtools(&self, command: &'static str, parameters: Value) -> Value {
        let issued = self.client.issue_cmd(Devtools { command, parameters });
        self.runtime.block_on(issued).unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Gives the page this size, also below what a window may have.
    pub fn resize(&self, (width, height): (u32, u32)) {
        let wanted = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", wanted);
    }

    /// Shows pages as somebody sees them who prefers dark colours, or light ones.
    pub fn dark(&self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        self.devtools("Emulation.setEmulatedMedia", json!({"features": [{"name": "prefers-color-scheme", "value": value}]}));
    }

    /// Looks at the page in light and dark colours, wide and at 360 pixels: accessible, no wider than its window, nothing the browser
    /// complains of. Leaves pictures named after it.
    pub fn look(&self, name: &str) {
        for (size, dark, picture) in [
            ((1280, 900), false, name.to_owned()),
            ((1280, 900), true, format!("{name}-dark")),
            ((360, 740), false, format!("{name}-small")),
        ] {
            self.resize(size);
            self.dark(dark);
            self.shot(&picture);
            self.accessible();
            self.fits();
        }
        self.resize((1280, 900));
        let complaints = self.complaints();
        assert!(complaints.is_empty(), "{}: {complaints:?}", self.path());
    }

    /// Goes to an address.
    pub fn go(&self, url: &str) {
        self.runtime.block_on(self.client.goto(url)).unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    /// Signs in to WHM on the parent.
    pub fn sign_in(&mut self, user: &str, password: &str) {
        self.go(&format!("{WHM}/"));
        self.fill("user", user);
        self.fill("pass", password);
        self.press("Log in");
        let path =
            self.wait(&format!("{user} signed in"), PATIENCE, || Some(self.path()).filter(|path| path.starts_with("/cpsess")));
        self.prefix = path.split('/').take(2).collect::<Vec<_>>().join("/");
        // The way to the sign-in page is a 401, which the browser complains of.
        self.complaints();
    }

    /// Goes to a page of WHM, by its path after the security token.
    pub fn page(&self, path: &str) {
        self.go(&format!("{WHM}{}{path}", self.prefix));
    }

    /// The path and query of the page.
    pub fn path(&self) -> String {
        let url = self.runtime.block_on(self.client.current_url()).expect("an address");
        url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()))
    }

    /// All text of the page.
    pub fn text(&self) -> String {
        // Between two pages there is none.
        let Ok(body) = self.runtime.block_on(self.client.find(Locator::Css("body"))) else { return String::new() };
        self.runtime.block_on(body.text()).unwrap_or_default()
    }

    /// The page's HTML.
    pub fn source(&self) -> String {
        self.runtime.block_on(self.client.source()).expect("a source")
    }

    /// Polls until `look` gives something.
    fn wait<T>(&self, what: &str, patience: Duration, mut look: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(found) = look() {
                return found;
            }
            if Instant::now() > deadline {
                self.shot("failed");
                panic!("not within {patience:?}: {what}; {} shows:\n{}", self.path(), self.text());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until the page shows this text.
    pub fn until(&self, text: &str) {
        self.until_within(text, PATIENCE);
    }

    /// Waits so long until the page shows this text.
    pub fn until_within(&self, text: &str, patience: Duration) {
        self.wait(&format!("“{text}” on the page"), patience, || self.text().contains(text).then_some(()));
    }

    /// Whether the page has an element.
    pub fn has(&self, css: &str) -> bool {
        self.count(css) > 0
    }

    /// How many elements there are.
    pub fn count(&self, css: &str) -> usize {
        self.runtime.block_on(self.client.find_all(Locator::Css(css))).map_or(0, |found| found.len())
    }

    /// Loads the page again and again until it shows this text.
    pub fn until_again(&self, text: &str, patience: Duration) {
        self.wait(&format!("“{text}” on the page loaded again"), patience, || {
            self.runtime.block_on(self.client.refresh()).expect("loading again");
            self.text().contains(text).then_some(())
        });
    }

    /// Waits until the page does not show this text.
    pub fn gone(&self, text: &str) {
        self.wait(&format!("“{text}” gone from the page"), PATIENCE, || {
            let shown = self.text();
            (!shown.is_empty() && !shown.contains(text)).then_some(())
        });
    }

    fn find(&self, what: &str, locator: Locator<'_>) -> Element {
        self.wait(what, PATIENCE, || self.runtime.block_on(self.client.find(locator)).ok())
    }

    fn click(&self, what: &str, locator: Locator<'_>) {
        let element = self.find(what, locator);
        self.runtime.block_on(element.click()).unwrap_or_else(|error| panic!("{what}: {error}"));
    }

    /// Types into a field, in place of what is there.
    pub fn fill(&self, name: &str, value: &str) {
        let css = format!("[name=\"{name}\"]:not([type=hidden])");
        let field = self.find(&format!("field “{name}”"), Locator::Css(&css));
        self.runtime
            .block_on(async {
                field.clear().await?;
                field.send_keys(value).await
            })
            .unwrap_or_else(|error| panic!("field “{name}”: {error}"));
    }

    /// Chooses from a list.
    pub fn choose(&self, name: &str, value: &str) {
        let css = format!("select[name=\"{name}\"]");
        let list = self.find(&format!("list “{name}”"), Locator::Css(&css));
        self.runtime
            .block_on(list.select_by_value(value))
            .unwrap_or_else(|error| panic!("“{value}” of list “{name}”: {error}; {}", self.source()));
    }

    /// Ticks a box or takes one of several choices.
    pub fn tick(&self, name: &str, value: &str) {
        let css = format!("input[name=\"{name}\"][value=\"{value}\"]");
        self.click(&format!("choice “{value}” of “{name}”"), Locator::Css(&css));
    }

    /// Presses a button by its text. What comes of it has to be waited for.
    pub fn press(&self, text: &str) {
        let xpath = format!("//button[normalize-space()=\"{text}\"] | //input[@type='submit' and @value=\"{text}\"]");
        self.click(&format!("button “{text}”"), Locator::XPath(&xpath));
    }

    /// Clicks what a selector names.
    pub fn click_on(&self, css: &str) {
        self.click(css, Locator::Css(css));
    }

    /// Follows a link by its text.
    pub fn follow(&self, text: &str) {
        let xpath = format!("//a[normalize-space()=\"{text}\"]");
        self.click(&format!("link “{text}”"), Locator::XPath(&xpath));
    }

    /// Presses a key, or types text, wherever the focus is.
    pub fn keys(&self, keys: &str) {
        let mut actions = KeyActions::new("keyboard".into());
        for value in keys.chars() {
            actions = actions.then(KeyAction::Down { value }).then(KeyAction::Up { value });
        }
        self.runtime.block_on(self.client.perform_actions(actions)).expect("keys");
    }

    /// Presses Tab until the focus is on an element whose name, text or label is `wanted`; everything passed on the way must show
    /// that it has the focus.
    pub fn tab_to(&self, wanted: &str) {
        let describe = "const e = document.activeElement; if (!e || e === document.body) return null; \
             const style = getComputedStyle(e); \
             const label = e.labels && e.labels[0] ? e.labels[0].innerText : ''; \
             return {name: e.name || '', text: (e.innerText || '').trim(), label: label.trim(), aria: e.getAttribute('aria-label') || '', \
                     seen: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0 || style.boxShadow !== 'none'};";
        let mut passed = Vec::new();
        for _ in 0..200 {
            self.keys("\u{e004}");
            let at = self.script(describe);
            if at.is_null() {
                continue;
            }
            assert_eq!(at["seen"], true, "the focus cannot be seen on {at}");
            if ["name", "text", "label", "aria"].iter().any(|key| at[key] == wanted) {
                return;
            }
            passed.push(at);
        }
        panic!("the keyboard does not reach “{wanted}” on {}: {passed:?}", self.path());
    }

    /// Runs a script in the page and gives what it returns.
    pub fn script(&self, text: &str) -> Value {
        self.runtime.block_on(self.client.execute(text, Vec::new())).unwrap_or_else(|error| panic!("a script: {error}"))
    }

    /// Takes a picture of the window into the folder of screenshots.
    pub fn shot(&self, name: &str) -> PathBuf {
        let path = shots().join(format!("{name}.png"));
        let picture = self.runtime.block_on(self.client.screenshot()).expect("a screenshot");
        std::fs::write(&path, picture).expect("writing a screenshot");
        path
    }

    /// Fails where the accessibility checker finds a serious or critical fault.
    pub fn accessible(&self) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/node_modules/axe-core/axe.min.js");
        let checker = std::fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("{}: {error}; get it with: make packages", file.display()));
        self.script(&checker);
        let run = "const done = arguments[arguments.length - 1]; \
             axe.run(document, {resultTypes: ['violations']}).then(r => done({url: location.href, rules: r.passes.length, \
             faults: r.violations.filter(v => v.impact === 'serious' || v.impact === 'critical').map(v => ({rule: v.id, impact: v.impact, \
             help: v.help, where: v.nodes.slice(0, 5).map(n => n.target.join(' ') + ': ' + n.failureSummary)}))}), e => done({error: String(e)}));";
        let found = self.runtime.block_on(self.client.execute_async(run, Vec::new())).expect("the accessibility checker");
        assert!(found["rules"].as_u64().is_some_and(|rules| rules > 0), "the accessibility checker did not run: {found}");
        let faults = found["faults"].as_array().expect("faults");
        assert!(faults.is_empty(), "{}: {}", self.path(), serde_json::to_string_pretty(faults).unwrap_or_default());
    }

    /// Fails where the page is wider than the window.
    pub fn fits(&self) {
        let wide = self.script(
            "const w = document.documentElement.clientWidth; \
             if (document.documentElement.scrollWidth <= w) return null; \
             return [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > w + 1)\
             .slice(0, 8).map(e => e.tagName + '.' + e.className + ' ' + Math.round(e.getBoundingClientRect().right));",
        );
        assert!(wide.is_null(), "{} is wider than its window: {wide}", self.path());
    }

    /// What the browser complained of since the last time it was asked: scripts that failed, what the page's policy forbade.
    pub fn complaints(&self) -> Vec<String> {
        #[derive(Debug)]
        struct Log;
        impl WebDriverCompatibleCommand for Log {
            fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
                base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
            }
            fn method_and_body(&self, _: &url::Url) -> (hyper::Method, Option<String>) {
                (hyper::Method::POST, Some(json!({"type": "browser"}).to_string()))
            }
        }
        let lines = self.runtime.block_on(self.client.issue_cmd(Log)).expect("the browser's log");
        let lines = lines.as_array().cloned().unwrap_or_default();
        let severe = lines.iter().filter(|line| line["level"] == "SEVERE").map(|line| line["message"].to_string());
        // A form that comes back with what is wrong in it is meant to say so by its status.
        severe.filter(|message| !message.contains("a status of 422")).collect()
    }
}
