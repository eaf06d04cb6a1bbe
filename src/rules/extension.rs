//! Our fields in WHM's account and package forms: a package extension, cPanel's own way into them.
//!
//! One file of defaults and one fragment for the Template Toolkit, shown in *Add a Package*, *Edit a Package*, *Create a New Account* and
//! *Modify an Account*. A fragment sees the value (`data.defaults.VARIABLE`) and nothing else of the form, so it speaks for all four.
//! The value is kept with the package or the account and comes to the hooks of `Accounts::Create` and `Accounts::Modify`.
//!
//! Source: <https://api.docs.cpanel.net/guides/guide-to-package-extensions/> and its page on template files.

use super::names;

/// The variable: empty (nothing chosen here), `.local`, or an alias.
pub const FIELD: &str = "linkednodes_mail_node";
/// The fragment.
pub const FRAGMENT: &str = "/var/cpanel/packages/extensions/linkednodes.tt2";
/// Its first line: a file that begins otherwise is not ours.
pub const MARKER: &str = "[%# Linked Nodes writes this file again whenever links change; changes by hand are lost. %]";

const TEMPLATE: &str = include_str!("../../plugin/package-extension/linkednodes.tt2");

/// The fragment for a parent of these children; without children it shows nothing.
pub fn fragment<'a>(aliases: impl IntoIterator<Item = &'a str>) -> String {
    // What is no alias could be code of the Template Toolkit.
    let choices: Vec<String> = aliases.into_iter().filter(|alias| names::alias(alias).is_ok()).map(choice).collect();
    if choices.is_empty() {
        return format!("{MARKER}\n");
    }
    TEMPLATE.replace("@CHOICES@\n", &choices.concat())
}

fn choice(alias: &str) -> String {
    format!("<option value=\"{alias}\"[% IF chosen == '{alias}' %] selected=\"selected\"[% END %]>{alias}</option>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fragment_names_every_child_and_runs_nothing_else() {
        assert!(TEMPLATE.starts_with(MARKER));
        assert_eq!(fragment([]), format!("{MARKER}\n"), "no children, no fields");
        let shown = fragment(["mail1", "Mail_2", "[% PERL %]", "a'b", "<script>"]);
        assert!(shown.starts_with(MARKER));
        assert!(shown.contains("<option value=\"mail1\"[% IF chosen == 'mail1' %]") && shown.contains(">Mail_2</option>"));
        assert!(!shown.contains("PERL") && !shown.contains("script") && !shown.contains("a'b") && !shown.contains('@'));
        let defaults = include_str!("../../plugin/package-extension/linkednodes");
        assert!(defaults.lines().any(|line| line == format!("{FIELD}=")), "every field is in the defaults");
        assert!(shown.contains(&format!("name=\"{FIELD}\"")));
    }
}
