//! A target follows its source.

use super::*;
use crate::error::Code;

#[test]
fn a_copy_is_the_same_in_both_directions() {
    let (here, there) = (Home::filled(12_345), Home::new(12_346));
    let mut served = Served::new(&there);
    let mut state = PassState::default();
    served.side().prepare_target().unwrap();
    let report = pass(&mut here.local(), served.side(), &mut state, REMOVE, &mut watch()).unwrap();
    assert_eq!((report.messages, report.folders_created, report.left_out.total), (6, 5, 0), "{report:?}");
    assert_eq!(there.files(), here.expected(there.uid));
    // And back, the other node being the source, onto a third home.
    let back = Home::new(12_347);
    let mut state = PassState::default();
    let report = pass(served.side(), &mut back.local(), &mut state, KEEP, &mut watch()).unwrap();
    assert_eq!(report.messages, 6);
    assert_eq!(back.files(), here.expected(back.uid));
    assert!(back.path("example.com/bob/.Leer/new").is_dir());
    assert_eq!(std::fs::metadata(back.path("example.com/bob")).unwrap().mode() & 0o777, 0o751);
    assert_eq!(std::fs::metadata(back.path("example.com/bob/cur")).unwrap().uid(), back.uid);
}

#[test]
fn later_passes_follow_changes_and_look_only_where_something_changed() {
    let (here, there) = (Home::filled(12_345), Home::new(12_346));
    let mut served = Served::new(&there);
    let mut source = here.local();
    let mut state = PassState::default();
    pass(&mut source, served.side(), &mut state, REMOVE, &mut watch()).unwrap();
    let again = pass(&mut source, served.side(), &mut state, REMOVE, &mut watch()).unwrap();
    assert_eq!((again.folders_changed, again.messages, again.controls), (0, 0, 0), "{again:?}");

    let bob = |path: &str| here.path(&format!("example.com/bob/{path}"));
    std::fs::rename(bob("cur/3.M1.h:2,FSa"), bob("cur/3.M1.h:2,S")).unwrap();
    std::fs::remove_file(bob("cur/4.M1.h:2,")).unwrap();
    std::fs::rename(here.path("new/2.M1.h"), here.path("cur/2.M1.h:2,")).unwrap();
    std::fs::remove_dir_all(bob(".Leer")).unwrap();
    here.folder("example.com/bob/.New one");
    here.file("example.com/bob/.New one/new/9.M1.h", "ninth");
    here.file("example.com/bob/dovecot-uidlist", "3 V100 N10 Gabc\n3 :3.M1.h:2,\n");
    std::fs::remove_file(bob("subscriptions")).unwrap();
    std::fs::write(there.path("example.com/bob/dovecot.index.log"), "made by a look").unwrap();
    let report = pass(&mut source, served.side(), &mut state, REMOVE, &mut watch()).unwrap();
    assert_eq!((report.messages, report.renamed, report.removed, report.folders_changed), (1, 2, 1, 3), "{report:?}");
    assert_eq!((report.folders_created, report.folders_removed, report.controls), (1, 1, 2), "{report:?}");
    assert_eq!(there.files(), here.expected(there.uid));
    assert!(!there.path("example.com/bob/.Leer").exists());

    // What changed a moment ago is not trusted to be the last change of that moment.
    let third = pass(&mut source, served.side(), &mut state, REMOVE, &mut watch()).unwrap();
    assert_eq!((third.folders_changed, third.messages, third.renamed), (3, 0, 0), "{third:?}");
}

#[test]
fn a_control_file_written_this_very_moment_is_copied_again() {
    let (here, there) = (Home::filled(12_345), Home::new(12_346));
    std::fs::write(here.path("example.com/bob/subscriptions"), "one\n").unwrap();
    let (mut source, mut target) = (here.local(), there.local());
    let mut state = PassState::default();
    pass(&mut source, &mut target, &mut state, REMOVE, &mut watch()).unwrap();
    // Same length, and with the very same time.
    let time = std::fs::metadata(here.path("example.com/bob/subscriptions")).unwrap().modified().unwrap();
    std::fs::write(here.path("example.com/bob/subscriptions"), "two\n").unwrap();
    std::fs::File::open(here.path("example.com/bob/subscriptions")).unwrap().set_modified(time).unwrap();
    pass(&mut source, &mut target, &mut state, REMOVE, &mut watch()).unwrap();
    assert_eq!(std::fs::read_to_string(there.path("example.com/bob/subscriptions")).unwrap(), "two\n");
}

#[test]
fn messages_of_the_target_are_kept_or_removed_as_asked_and_never_overwritten() {
    let (here, there) = (Home::filled(12_345), Home::new(12_346));
    there.folder(".");
    there.file("cur/own.M1.h:2,", "mine");
    there.folder(".Old");
    there.folder(".Full");
    there.file(".Full/cur/full.M1.h:2,", "full");
    let (mut source, mut target) = (here.local(), there.local());
    let leftovers = target_leftovers(&mut target).unwrap();
    assert_eq!((leftovers.messages, leftovers.bytes, leftovers.mailboxes), (2, 8, vec![("ada".to_owned(), 2)]));
    let mut state = PassState::default();
    pass(&mut source, &mut target, &mut state, KEEP, &mut watch()).unwrap();
    assert!(there.path("cur/own.M1.h:2,").exists() && there.path(".Full/cur/full.M1.h:2,").exists());
    assert!(!there.path(".Old").exists(), "an empty folder is nothing to keep");

    there.file("cur/1.M1.h,S=5:2,S", "different");
    let error = pass(&mut source, &mut target, &mut PassState::default(), KEEP, &mut watch()).unwrap_err();
    assert_eq!(error.code, Code::Conflict);
    assert!(error.message.contains("1.M1.h,S=5:2,S"), "{error}");
    assert_eq!(std::fs::read_to_string(there.path("cur/1.M1.h,S=5:2,S")).unwrap(), "different");

    let report = pass(&mut source, &mut target, &mut PassState::default(), REMOVE, &mut watch()).unwrap();
    assert_eq!((report.replaced, report.removed, report.messages), (1, 1, 1));
    assert_eq!(there.files(), here.expected(there.uid));
}

#[test]
fn a_message_that_was_renamed_since_it_was_listed_is_found_and_one_that_is_gone_is_not_missed() {
    let here = Home::filled(12_345);
    let mut source = here.local();
    let folder: Folder = serde_json::from_str("\"example.com/bob\"").unwrap();
    let wanted = |place, name: &str, size| Wanted {
        slot: Slot::Message { folder: folder.clone(), place, name: Name::new(name.as_bytes()).unwrap() },
        size,
    };
    let list = [
        wanted(Place::New, "3.M1.h", 9),
        wanted(Place::Cur, "8.M1.h:2,", 9),
        wanted(Place::Cur, "4.M1.h:2,S", 0),
        wanted(Place::Cur, "odd\nname:2,S", 99),
    ];
    let mut pieces = Vec::new();
    source
        .read(&list, &mut |piece| {
            pieces.push(piece);
            Ok(())
        })
        .unwrap();
    let heads: Vec<_> = pieces
        .iter()
        .filter_map(|piece| match piece {
            Piece::Head { index, head } => Some((*index, head.slot.path())),
            Piece::Gone { index, why } => Some((*index, format!("{why:?}"))),
            _ => None,
        })
        .collect();
    let expected =
        [(0, "example.com/bob/cur/3.M1.h:2,FSa"), (1, "None"), (2, "example.com/bob/cur/4.M1.h:2,"), (3, "Some(Unsteady)")];
    assert_eq!(heads, expected.map(|(index, path)| (index, path.to_owned())));
}

#[test]
fn a_stopped_pass_leaves_nothing_half_and_the_stream_usable() {
    let (here, there) = (Home::filled(12_345), Home::new(12_346));
    let mut served = Served::new(&there);
    let mut state = PassState::default();
    let mut stop =
        |progress: &Progress| if progress.bytes > 300_000 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let report = pass(&mut here.local(), served.side(), &mut state, REMOVE, &mut stop).unwrap();
    assert!(report.stopped);
    assert!(there.files().iter().all(|(name, ..)| !name.contains("linked-nodes.")), "{:?}", there.files());
    assert!(!there.path("example.com/bob/.A&AOk-.b c./cur/5.M1.h:2,Rb").exists());
    let report = pass(&mut here.local(), served.side(), &mut state, REMOVE, &mut watch()).unwrap();
    assert!(!report.stopped);
    assert_eq!(there.files(), here.expected(there.uid));
}

#[test]
fn removing_messages_leaves_the_folders_and_can_be_repeated_under_the_fence() {
    let here = Home::filled(12_345);
    let mut local = here.local();
    local.fence(true).unwrap();
    for _ in 0..2 {
        local.remove_messages().unwrap();
        let usage = local.usage().unwrap();
        assert_eq!((usage.messages, usage.folders), (0, 5));
    }
    local.fence(false).unwrap();
    let left: Vec<_> = here.files().into_iter().map(|file| file.0).collect();
    let expected = [
        "example.com/bob/.A&AOk-.b c./dovecot-keywords",
        "example.com/bob/.A&AOk-.b c./maildirfolder",
        "example.com/bob/dovecot-keywords",
        "example.com/bob/sieve/roundcube.sieve",
        "example.com/bob/subscriptions",
    ];
    assert_eq!(left, expected);
}

#[test]
fn other_formats_are_refused_by_name_and_usage_counts() {
    let (here, there) = (Home::filled(12_345), Home::new(12_346));
    let usage = here.local().usage().unwrap();
    assert_eq!((usage.messages, usage.folders, usage.oddities.len()), (6, 5, 0));
    assert_eq!(usage.bytes, 5 + 6 + 9 + 3 + 1_000_000);
    assert_eq!(
        usage.mailboxes.iter().map(|(name, count, _)| (name.as_str(), *count)).collect::<Vec<_>>(),
        [("ada", 2), ("bob@example.com", 4)]
    );
    assert!(usage.free_bytes > 0 && usage.free_inodes > 0);

    let many: String = (0..30).map(|at| format!("{at} word{at}\n")).collect();
    here.file("dovecot-keywords", &many);
    here.mkdir("mail/example.com/eve/mailboxes");
    here.mkdir("mail/example.com/eve/storage");
    let odd = here.local().usage().unwrap().oddities;
    let expected = [
        Oddity::Unsupported { mailbox: "eve@example.com".into(), format: "mdbox".into() },
        Oddity::ManyKeywords { mailbox: "ada".into(), folder: "INBOX".into(), keywords: 30 },
    ];
    assert_eq!(odd, expected);
    let error = pass(&mut here.local(), &mut there.local(), &mut PassState::default(), REMOVE, &mut watch()).unwrap_err();
    assert_eq!(error.code, Code::Unsupported);
}

#[test]
fn preparing_a_target_clears_what_an_interrupted_copy_left() {
    let there = Home::filled(12_345);
    there.file("example.com/bob/tmp/linked-nodes.77.1", "half");
    there.local().prepare_target().unwrap();
    let names: Vec<_> =
        there.files().into_iter().map(|file| file.0).filter(|name| name.contains("tmp/") || name.contains("index")).collect();
    assert_eq!(names, ["example.com/bob/tmp/half"]);
    let empty = Home::new(12_346);
    std::fs::remove_dir(empty.path("")).unwrap();
    let mut local = empty.local();
    assert_eq!(local.tree().unwrap().folders.len(), 0);
    local.prepare_target().unwrap();
    assert_eq!(std::fs::metadata(empty.path("")).unwrap().uid(), empty.uid);
}
