//! The menu: what the caller may do, of the forms there are and of registered applications.

use crate::appconfig::{self, Application};
use crate::call::Caller;
use crate::cpsrvd::docroot;
use crate::machine::Machine;

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its text.
    pub name: String,
    /// Where it leads, with the security token.
    pub link: String,
    /// `_self` or `_blank`.
    pub target: String,
    /// The icon's path, if it has one.
    pub icon: Option<String>,
    /// More words it is found by.
    pub words: String,
}

/// Entries under one heading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The heading.
    pub name: &'static str,
    /// What is below it.
    pub items: Vec<Item>,
}

/// The forms there are: heading, text, path, the right needed.
const FORMS: &[(&str, &str, &str, &str)] = &[
    ("Account Information", "List Accounts", "scripts4/listaccts", "list-accts"),
    ("Account Functions", "Create a New Account", "scripts5/wwwacctform", "create-acct"),
    ("Account Functions", "Modify an Account", "scripts/edituser", "edit-account"),
    ("Account Functions", "Password Modification", "scripts/passwdlist", "passwd"),
    ("Account Functions", "Manage Account Suspension", "scripts/suspendlist", "suspend-acct"),
    ("Account Functions", "Terminate Accounts", "scripts/killacctlist", "kill-acct"),
    ("Account Functions", "Upgrade/Downgrade an Account", "scripts/upacctform", "upgrade-account"),
    ("Packages", "Add a Package", "scripts/addpkgform", "add-pkg"),
    ("Packages", "Edit a Package", "scripts/editpkgform", "edit-pkg"),
];

fn application(one: &Application, prefix: &str) -> Option<Item> {
    let (name, entry) = (one.get("displayname")?, one.get("entryurl")?);
    Some(Item {
        name: name.to_owned(),
        link: format!("{prefix}/cgi/{}", entry.trim_start_matches('/')),
        target: one.get("target").unwrap_or("_blank").to_owned(),
        icon: one.get("icon").filter(|icon| !icon.contains('/')).map(|icon| format!("/addon_plugins/{icon}")),
        words: one.get("searchtext").unwrap_or_default().to_owned(),
    })
}

/// The menu of `caller`.
pub fn of(machine: &Machine, caller: &Caller, prefix: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for (section, name, path, _) in FORMS.iter().filter(|(_, _, _, acl)| caller.may(acl)) {
        let item = Item {
            name: (*name).to_owned(),
            link: format!("{prefix}/{path}"),
            target: "_self".to_owned(),
            icon: None,
            words: String::new(),
        };
        match sections.last_mut().filter(|last| last.name == *section) {
            Some(last) => last.items.push(item),
            None => sections.push(Section { name: section, items: vec![item] }),
        }
    }
    let applications = appconfig::all(machine).unwrap_or_else(|error| {
        tracing::warn!(%error, "the registered applications cannot be read");
        Vec::new()
    });
    let theirs = applications.iter().filter(|one| one.service() == "whostmgr" && docroot::allows(one, caller));
    let mut plugins: Vec<Item> = theirs.filter_map(|one| application(one, prefix)).collect();
    plugins.sort_by_key(|item| item.name.to_lowercase());
    if !plugins.is_empty() {
        sections.push(Section { name: "Plugins", items: plugins });
    }
    sections
}

/// The entries that hold every word of `find`; all when it is empty.
pub fn matching(sections: &[Section], find: &str) -> Vec<Section> {
    let find = find.to_lowercase();
    let found = |section: &Section| Section {
        name: section.name,
        items: section
            .items
            .iter()
            .filter(|item| {
                let text = format!("{} {} {}", section.name, item.name, item.words).to_lowercase();
                find.split_whitespace().all(|word| text.contains(word))
            })
            .cloned()
            .collect(),
    };
    sections.iter().map(found).filter(|section| !section.items.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::scratch;

    fn register(machine: &Machine, name: &str, acls: &str) {
        let text = format!(
            "name={name}\nservice=whostmgr\nurl=/cgi/{name}/\nacls={acls}\ndisplayname={name}\nentryurl={name}/index.cgi\nicon={name}.png\ntarget=_self\n"
        );
        appconfig::register(machine, &Application::parse(&text).unwrap()).unwrap();
    }

    #[test]
    fn everybody_sees_what_they_may_use() {
        let (_folder, machine) = scratch::machine();
        register(&machine, "nodes", "all");
        register(&machine, "free", "any");
        register(&machine, "listing", "list-accts");
        let caller = |acls: &[&str]| Caller {
            user: "rita".into(),
            mailbox: None,
            acls: acls.iter().map(|acl| (*acl).to_owned()).collect(),
        };
        let names = |acls: &[&str]| -> Vec<String> {
            of(&machine, &caller(acls), "/cpsess0000000001").into_iter().flat_map(|s| s.items).map(|item| item.name).collect()
        };
        assert_eq!(names(&["list-accts"]), ["List Accounts", "free", "listing"]);
        assert_eq!(names(&[]), ["free"]);
        let all = of(&machine, &Caller::root(), "/cpsess0000000001");
        let nodes = all.last().unwrap().items.iter().find(|item| item.name == "nodes").unwrap();
        assert_eq!(nodes.link, "/cpsess0000000001/cgi/nodes/index.cgi");
        assert_eq!((nodes.icon.as_deref(), nodes.target.as_str()), (Some("/addon_plugins/nodes.png"), "_self"));
        assert_eq!(matching(&all, "account CREATE").first().unwrap().items.len(), 1);
        assert!(matching(&all, "nothing like it").is_empty());
    }
}
