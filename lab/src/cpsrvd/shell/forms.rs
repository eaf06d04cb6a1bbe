//! The forms for accounts and packages. They call the functions of WHM API 1 in this process: no request is made, so nothing but hooks
//! hears of what they do, as it is on cPanel.

use askama::Template;
use hyper::{Method, StatusCode};

use super::fragment::{self, Fragment};
use super::{Done, Frame, Visitor, forbidden};
use crate::call::{Args, Failure, Outcome};
use crate::cpsrvd::reply::Answer;
use crate::cpsrvd::whm::{self, Refusal};
use crate::machine::Account;

/// An account in a list.
#[derive(Debug)]
struct Row {
    user: String,
    domain: String,
    owner: String,
    plan: String,
    contact: String,
    suspended: bool,
}

impl From<&Account> for Row {
    fn from(account: &Account) -> Self {
        let text = |key: &str| account.get(key).unwrap_or_default().to_owned();
        Self {
            user: account.user.clone(),
            domain: account.domain().to_owned(),
            owner: account.owner().to_owned(),
            plan: text("PLAN"),
            contact: text("CONTACTEMAIL"),
            suspended: account.is_suspended(),
        }
    }
}

#[derive(Template)]
#[template(path = "whm/accounts.html")]
struct Accounts {
    frame: Frame,
    rows: Vec<Row>,
    may_edit: bool,
    search: String,
}

#[derive(Template)]
#[template(path = "whm/create.html")]
struct Create {
    frame: Frame,
    packages: Vec<String>,
    plan: String,
    root: bool,
    fragments: Vec<Fragment>,
    extensions: String,
}

/// A value of a form: the name it is sent back by, its label, and what it is now.
#[derive(Debug)]
struct Field {
    name: &'static str,
    label: &'static str,
    value: String,
}

#[derive(Template)]
#[template(path = "whm/modify.html")]
struct Modify {
    frame: Frame,
    account: Row,
    limits: Vec<Field>,
    root: bool,
    reseller: bool,
    fragments: Vec<Fragment>,
    extensions: String,
}

#[derive(Template)]
#[template(path = "whm/package.html")]
struct PackageForm {
    frame: Frame,
    /// The package that is edited; empty for a new one.
    name: String,
    limits: Vec<Field>,
    fragments: Vec<Fragment>,
    extensions: String,
}

#[derive(Template)]
#[template(path = "whm/packages.html")]
struct Packages {
    frame: Frame,
    packages: Vec<String>,
}

/// What is done to one account of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Password,
    Suspension,
    Termination,
    Package,
}

#[derive(Template)]
#[template(path = "whm/deed.html")]
struct DeedForm {
    frame: Frame,
    deed: Deed,
    rows: Vec<Row>,
    packages: Vec<String>,
}

/// Limits of accounts: the key in `modifyacct`, its label.
const LIMITS: &[(&str, &str)] = &[
    ("QUOTA", "Disk Space Quota (MB)"),
    ("BWLIMIT", "Monthly Bandwidth Limit (MB)"),
    ("MAXPOP", "Max Email Accounts"),
    ("MAXLST", "Max Mailing Lists"),
    ("MAXSUB", "Max Subdomains"),
    ("MAXPARK", "Max Alias Domains"),
    ("MAXADDON", "Max Addon Domains"),
];

/// Limits of packages: the argument of `addpkg`, the package's key, its label.
const PACKAGED: &[(&str, &str, &str)] = &[
    ("quota", "QUOTA", "Disk Space Quota (MB)"),
    ("bwlimit", "BWLIMIT", "Monthly Bandwidth Limit (MB)"),
    ("maxpop", "MAXPOP", "Max Email Accounts"),
    ("maxlst", "MAXLST", "Max Mailing Lists"),
    ("maxsub", "MAXSUB", "Max Subdomains"),
    ("maxpark", "MAXPARK", "Max Alias Domains"),
    ("maxaddon", "MAXADDON", "Max Addon Domains"),
];

/// The answer to a request for a form, or to one sent; `None` where there is no such form.
pub fn answer(visitor: &Visitor<'_>, method: &Method) -> Option<Answer> {
    type Page = fn(&Visitor<'_>) -> Result<Answer, Failure>;
    let sent = *method == Method::POST;
    let (acl, title, page): (&str, &str, Page) = match (visitor.path, sent) {
        ("/scripts4/listaccts", false) => ("list-accts", "List Accounts", list),
        ("/scripts5/wwwacctform", false) => ("create-acct", "Create a New Account", create_form),
        ("/scripts5/wwwacct", true) => ("create-acct", "Create a New Account", create),
        ("/scripts/edituser", false) => ("edit-account", "Modify an Account", modify_form),
        ("/scripts/saveuser", true) => ("edit-account", "Modify an Account", modify),
        ("/scripts/addpkgform", false) => ("add-pkg", "Add a Package", new_package),
        ("/scripts/addpkg", true) => ("add-pkg", "Add a Package", |v| package(v, "addpkg", "Add a Package")),
        ("/scripts/editpkgform", false) => ("edit-pkg", "Edit a Package", edit_package),
        ("/scripts/editpkg", true) => ("edit-pkg", "Edit a Package", |v| package(v, "editpkg", "Edit a Package")),
        ("/scripts/passwdlist", false) => ("passwd", "Password Modification", |v| deed_form(v, Deed::Password)),
        ("/scripts/passwd", true) => ("passwd", "Password Modification", |v| deed(v, "passwd")),
        ("/scripts/suspendlist", false) => ("suspend-acct", "Manage Account Suspension", |v| deed_form(v, Deed::Suspension)),
        ("/scripts/suspendacct", true) => ("suspend-acct", "Manage Account Suspension", |v| deed(v, "suspendacct")),
        ("/scripts/unsuspendacct", true) => ("suspend-acct", "Manage Account Suspension", |v| deed(v, "unsuspendacct")),
        ("/scripts/killacctlist", false) => ("kill-acct", "Terminate Accounts", |v| deed_form(v, Deed::Termination)),
        ("/scripts/killacct", true) => ("kill-acct", "Terminate Accounts", terminate),
        ("/scripts/upacctform", false) => ("upgrade-account", "Upgrade/Downgrade an Account", |v| deed_form(v, Deed::Package)),
        ("/scripts/upacct", true) => ("upgrade-account", "Upgrade/Downgrade an Account", |v| deed(v, "changepackage")),
        _ => return None,
    };
    if !visitor.signed.caller.may(acl) {
        return Some(forbidden(visitor));
    }
    Some(page(visitor).unwrap_or_else(|failure| visitor.told(title, Err(failure))))
}

impl Visitor<'_> {
    /// The accounts the caller manages, by name.
    fn accounts(&self) -> Result<Vec<Account>, Failure> {
        let mut accounts = self.machine.accounts()?;
        accounts.retain(|account| whm::manages(&self.signed.caller, account));
        Ok(accounts)
    }

    fn rows(&self) -> Result<Vec<Row>, Failure> {
        Ok(self.accounts()?.iter().map(Row::from).collect())
    }

    fn is_root(&self) -> bool {
        self.signed.caller.may("all")
    }

    /// Calls a function in this process.
    fn call(&self, function: &str, args: &Args) -> Result<Outcome, Failure> {
        match whm::call(self.machine, &self.signed.caller, function, args) {
            Ok(outcome) => Ok(outcome),
            Err(Refusal::Failed(failure)) => Err(failure),
            Err(Refusal::Denied) => Err(Failure::new("You do not have permission to do this.")),
        }
    }

    /// Calls what a form asks for, with what it sent, and tells what came of it.
    fn carried_out(&self, function: &str, title: &str) -> Answer {
        let outcome = self.call(function, self.args).map(|outcome| Done {
            message: outcome.reason.unwrap_or_else(|| "Done.".to_owned()),
            notes: outcome.messages.into_iter().chain(outcome.warnings).collect(),
            raw: outcome.raw.unwrap_or_default(),
        });
        self.told(title, outcome)
    }

    /// Names of the packages the caller may use.
    fn packages(&self, want: &str) -> Result<Vec<String>, Failure> {
        let asked = Args(vec![("want".to_owned(), want.to_owned())]);
        // Whoever may create accounts chooses a package, also without the right to list them elsewhere.
        let listed = whm::packages_of(self.machine, &self.signed.caller, &asked)?;
        let names = listed.data["pkg"].as_array().into_iter().flatten();
        Ok(names.filter_map(|package| package["name"].as_str().map(str::to_owned)).collect())
    }
}

fn list(visitor: &Visitor<'_>) -> Result<Answer, Failure> {
    let search = visitor.args.get("search").unwrap_or_default().trim().to_lowercase();
    let mut rows = visitor.rows()?;
    rows.retain(|row| row.user.contains(&search) || row.domain.contains(&search));
    let may_edit = visitor.signed.caller.may("edit-account");
    Ok(visitor.show(StatusCode::OK, &Accounts { frame: visitor.frame("List Accounts"), rows, may_edit, search }))
}

fn create_form(visitor: &Visitor<'_>) -> Result<Answer, Failure> {
    let plan = visitor.args.get("plan").unwrap_or("default").to_owned();
    let package = visitor.machine.package(&plan)?;
    let current = |key: &str| package.as_ref().and_then(|package| package.get(key)).map(str::to_owned);
    let (fragments, extensions) = fragment::all(visitor.machine, current);
    let page = Create {
        frame: visitor.frame("Create a New Account"),
        packages: visitor.packages("creatable")?,
        plan,
        root: visitor.is_root(),
        fragments,
        extensions,
    };
    Ok(visitor.show(StatusCode::OK, &page))
}

fn create(visitor: &Visitor<'_>) -> Result<Answer, Failure> {
    Ok(visitor.carried_out("createacct", "Create a New Account"))
}

fn modify_form(visitor: &Visitor<'_>) -> Result<Answer, Failure> {
    let title = "Modify an Account";
    let Some(user) = visitor.args.get("user").filter(|user| !user.is_empty()) else {
        let (rows, search) = (visitor.rows()?, String::new());
        return Ok(visitor.show(StatusCode::OK, &Accounts { frame: visitor.frame(title), rows, may_edit: true, search }));
    };
    let account = visitor.accounts()?.into_iter().find(|account| account.user == user);
    let account = account.ok_or_else(|| Failure::new(format!("You do not have permission to manage the account “{user}”.")))?;
    let (fragments, extensions) = fragment::all(visitor.machine, |key| account.get(key).map(str::to_owned));
    let page = Modify {
        frame: visitor.frame(&format!("{title}: {user}")),
        limits: LIMITS
            .iter()
            .map(|(name, label)| Field { name, label, value: account.get(name).unwrap_or("unlimited").to_owned() })
            .collect(),
        root: visitor.is_root(),
        reseller: visitor.machine.reseller_acls(user).is_some(),
        account: Row::from(&account),
        fragments,
        extensions,
    };
    Ok(visitor.show(StatusCode::OK, &page))
}

fn modify(visitor: &Visitor<'_>) -> Result<Answer, Failure> {
    Ok(visitor.carried_out("modifyacct", "Modify an Account"))
}

fn new_package(visitor: &Visitor<'_>) -> Result<Answer, Failure> {
    package_form(visitor, "Add a Package", "", |_| None)
}

fn edit_package(visitor: &Visitor<'_>) -> Result<Answer, Failure> {
    let title = "Edit a Package";
    let packages = visitor.packages("editable")?;
    let Some(name) = visitor.args.get("pkg").filter(|name| !name.is_empty()) else {
        return Ok(visitor.show(StatusCode::OK, &Packages { frame: visitor.frame(title), packages }));
    };
    let package = visitor.machine.package(name)?.filter(|package| packages.contains(&package.name));
    let package = package.ok_or_else(|| Failure::new(format!("The package “{name}” does not exist.")))?;
    package_form(visitor, title, name, |key| package.get(key).map(str::to_owned))
}

fn package_form(
    visitor: &Visitor<'_>,
    title: &str,
    name: &str,
    current: impl Fn(&str) -> Option<String>,
) -> Result<Answer, Failure> {
    let limits = PACKAGED
        .iter()
        .map(|(name, key, label)| Field { name, label, value: current(key).unwrap_or_else(|| "unlimited".to_owned()) })
        .collect();
    let (fragments, extensions) = fragment::all(visitor.machine, current);
    let page = PackageForm { frame: visitor.frame(title), name: name.to_owned(), limits, fragments, extensions };
    Ok(visitor.show(StatusCode::OK, &page))
}

fn package(visitor: &Visitor<'_>, function: &str, title: &str) -> Result<Answer, Failure> {
    Ok(visitor.carried_out(function, title))
}

fn deed_form(visitor: &Visitor<'_>, deed: Deed) -> Result<Answer, Failure> {
    let title = match deed {
        Deed::Password => "Password Modification",
        Deed::Suspension => "Manage Account Suspension",
        Deed::Termination => "Terminate Accounts",
        Deed::Package => "Upgrade/Downgrade an Account",
    };
    let packages = if deed == Deed::Package { visitor.packages("creatable")? } else { Vec::new() };
    Ok(visitor.show(StatusCode::OK, &DeedForm { frame: visitor.frame(title), deed, rows: visitor.rows()?, packages }))
}

fn deed(visitor: &Visitor<'_>, function: &str) -> Result<Answer, Failure> {
    let title = match function {
        "passwd" => "Password Modification",
        "changepackage" => "Upgrade/Downgrade an Account",
        _ => "Manage Account Suspension",
    };
    Ok(visitor.carried_out(function, title))
}

fn terminate(visitor: &Visitor<'_>) -> Result<Answer, Failure> {
    if !visitor.args.flag("verify") {
        return Err(Failure::new("Tick the box that says you understand that the account is removed for good."));
    }
    Ok(visitor.carried_out("removeacct", "Terminate Accounts"))
}
