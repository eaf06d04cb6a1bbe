//! The parts of forms that package extensions bring, rendered by the Template Toolkit itself.

use serde_json::{Map, Value, json};

use crate::call::Failure;
use crate::machine::extensions::{Extension, FOLDER};
use crate::machine::{Machine, system};

/// Renders one template of the extensions' folder: a JSON document comes in, HTML goes out. Templates run no Perl, load no plugins and
/// read nothing outside their folder. As templates for WHM are written, `locale.maketext` is there; here everything is English, and
/// `[_1]` is the first argument.
const RENDERER: &str = r#"
use strict; use warnings;
use Template; use JSON::PP;
my $asked = decode_json(do { local $/; <STDIN> });
my $toolkit = Template->new({
    INCLUDE_PATH => $asked->{folder}, ENCODING => 'utf8', EVAL_PERL => 0, ABSOLUTE => 0, RELATIVE => 0, LOAD_PLUGINS => [],
}) or die Template->error . "\n";
my $maketext = sub { my ($text, @words) = @_; $text =~ s/\[_(\d+)\]/$words[$1 - 1] \/\/ ''/ge; $text };
my $page = '';
$toolkit->process($asked->{template}, { data => $asked->{data}, locale => { maketext => $maketext } }, \$page) or die $toolkit->error . "\n";
binmode STDOUT, ':encoding(UTF-8)';
print $page;
"#;

/// An extension's part of a form.
#[derive(Debug)]
pub struct Fragment {
    /// The extension's title.
    pub title: String,
    /// Its HTML; the administrator who installed the extension answers for it.
    pub html: String,
    /// Why there is none.
    pub problem: String,
}

/// The parts that the installed extensions have in a form, and their names as the form sends them back. `current` says the present
/// value of a variable.
pub fn all(machine: &Machine, current: impl Fn(&str) -> Option<String>) -> (Vec<Fragment>, String) {
    let extensions = match machine.package_extensions() {
        Ok(extensions) => extensions,
        Err(error) => {
            let problem = format!("The package extensions cannot be read: {error}");
            return (vec![Fragment { title: "Package Extensions".into(), html: String::new(), problem }], String::new());
        }
    };
    let names: Vec<&str> = extensions.iter().map(|extension| extension.id.as_str()).collect();
    let names = names.join(" ");
    let fragments = extensions
        .iter()
        .map(|extension| {
            let (html, problem) = match render(machine, extension, &current) {
                Ok(html) => (html, String::new()),
                Err(failure) => (String::new(), failure.reason),
            };
            Fragment { title: extension.title.clone(), html, problem }
        })
        .collect();
    (fragments, names)
}

fn render(machine: &Machine, extension: &Extension, current: impl Fn(&str) -> Option<String>) -> Result<String, Failure> {
    let defaults: Map<String, Value> = extension
        .defaults
        .iter()
        .map(|(key, default)| (key.clone(), json!(current(key).unwrap_or_else(|| default.clone()))))
        .collect();
    let asked = json!({
        "folder": machine.path(FOLDER),
        "template": format!("{}.tt2", extension.id),
        "data": {"defaults": defaults},
    });
    // A template that never ends must not hold the page.
    system::run("timeout", &["10", "perl", "-e", RENDERER], asked.to_string().as_bytes())
        .map_err(|failure| Failure::new(format!("{}.tt2: {}", extension.id, failure.reason)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::scratch;

    fn rendered(template: &str) -> (String, String) {
        let (_folder, machine) = scratch::machine();
        let folder = machine.path(FOLDER);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("nodes"), "_NAME=Nodes\nnode=auto\nnote=<ü>\n").unwrap();
        std::fs::write(folder.join("nodes.tt2"), template).unwrap();
        let (mut fragments, names) = all(&machine, |key| (key == "node").then(|| "mail1\"".to_owned()));
        assert_eq!((fragments.len(), names.as_str()), (1, "nodes"));
        let fragment = fragments.remove(0);
        (fragment.html, fragment.problem)
    }

    #[test]
    fn the_template_toolkit_renders_the_values() {
        let template = "[% FOREACH n IN ['mail1','mail2'] %]<i>[% n %]</i>[% END %]<b>[% data.defaults.node | html %]</b>[% data.defaults.note | html %]";
        let (html, problem) = rendered(template);
        assert_eq!((html.as_str(), problem.as_str()), ("<i>mail1</i><i>mail2</i><b>mail1&quot;</b>&lt;ü&gt;", ""));
    }

    #[test]
    fn phrases_are_english() {
        let (html, problem) = rendered("[% locale.maketext('Mail on [_1]', data.defaults.note) | html %]");
        assert_eq!((html.as_str(), problem.as_str()), ("Mail on &lt;ü&gt;", ""));
    }

    #[test]
    fn templates_reach_nothing_but_their_folder() {
        for hostile in [
            "[% PERL %]print 1[% END %]",
            "[% INSERT '/etc/passwd' %]",
            "[% INCLUDE '../../../../etc/passwd' %]",
            "[% USE d = Datafile('/etc/passwd') %][% d.size %]",
            "[% INCLUDE nowhere.tt2 %]",
            "[% IF %]",
        ] {
            let (html, problem) = rendered(hostile);
            assert!(html.is_empty() && problem.contains("nodes.tt2"), "{hostile}: {html:?} {problem:?}");
        }
    }
}
