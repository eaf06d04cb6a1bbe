//! Verification finds each thing that can differ, and only that.

use super::*;

fn copied() -> (Home, Home) {
    let (here, there) = (Home::filled(12_345), Home::new(12_346));
    pass(&mut here.local(), &mut there.local(), &mut PassState::default(), REMOVE, &mut watch()).unwrap();
    (here, there)
}

fn reasons(here: &Home, there: &Home) -> Vec<Reason> {
    let mut served = Served::new(there);
    match verify(&mut here.local(), served.side(), &mut PassState::default(), &mut watch()).unwrap() {
        Verdict::Perfect(_) => Vec::new(),
        Verdict::Differences(list) => {
            assert_eq!(list.total as usize, list.named.len());
            list.named.into_iter().map(|difference| difference.reason).collect()
        }
    }
}

#[test]
fn a_copy_is_perfect() {
    let (here, there) = copied();
    let verdict = verify(&mut here.local(), &mut there.local(), &mut PassState::default(), &mut watch()).unwrap();
    let Verdict::Perfect(equal) = verdict else { panic!("{verdict:?}") };
    assert_eq!((equal.messages, equal.bytes, equal.folders), (6, 1_000_023, 5));
}

#[test]
fn each_difference_is_found() {
    type Break = fn(&Home);
    let cases: &[(Break, &[Reason])] = &[
        (|home| std::fs::remove_file(home.path("new/2.M1.h")).unwrap(), &[Reason::Missing]),
        (|home| home.file("new/7.M1.h", "extra"), &[Reason::Extra]),
        (|home| std::fs::rename(home.path("new/2.M1.h"), home.path("cur/2.M1.h")).unwrap(), &[Reason::Place]),
        (|home| std::fs::rename(home.path("cur/1.M1.h,S=5:2,S"), home.path("cur/1.M1.h,S=5:2,ST")).unwrap(), &[Reason::Flags]),
        (
            |home| {
                let dir = home.path("example.com/bob/cur");
                std::fs::rename(dir.join("3.M1.h:2,FSa"), dir.join("3.M1.h:2,FSb")).unwrap();
            },
            &[Reason::Keywords],
        ),
        (|home| home.file("example.com/bob/dovecot-keywords", "0 Play\n"), &[Reason::Control, Reason::Keywords]),
        (
            |home| {
                let path = "cur/1.M1.h,S=5:2,S";
                let time = std::fs::metadata(home.path(path)).unwrap().modified().unwrap();
                std::fs::write(home.path(path), "hellO").unwrap();
                std::fs::File::open(home.path(path)).unwrap().set_modified(time).unwrap();
            },
            &[Reason::Digest],
        ),
        (|home| home.date("cur/1.M1.h,S=5:2,S", 77), &[Reason::InternalDate]),
        (
            |home| home.file("example.com/bob/dovecot-uidlist", "3 V100 N9 Gabc\n3 :3.M1.h:2,\n5 W0 :4.M1.h\n"),
            &[Reason::Control, Reason::Uid],
        ),
        (
            |home| home.file("example.com/bob/dovecot-uidlist", "3 V101 N8 Gabd\n3 :3.M1.h:2,\n4 W0 :4.M1.h\n"),
            &[Reason::UidValidity, Reason::UidNext, Reason::Guid, Reason::Control],
        ),
        (|home| home.file("example.com/bob/subscriptions", "V\t2\n\nOther\n"), &[Reason::Control]),
        (|home| std::fs::remove_file(home.path("example.com/bob/sieve/roundcube.sieve")).unwrap(), &[Reason::Control]),
        (|home| std::fs::remove_dir_all(home.path("example.com/bob/.Leer")).unwrap(), &[Reason::FolderMissing]),
        (|home| home.folder("example.com/bob/.More"), &[Reason::FolderExtra]),
        (|home| home.folder("example.com/empty"), &[]),
        (
            |home| {
                home.folder("example.com/eve");
                home.file("example.com/eve/new/1.M1.h", "x");
            },
            &[Reason::Extra],
        ),
    ];
    for (at, (spoil, expected)) in cases.iter().enumerate() {
        let (here, there) = copied();
        assert_eq!(reasons(&here, &there), [], "case {at} before");
        spoil(&there);
        assert_eq!(reasons(&here, &there), *expected, "case {at}");
    }
    let (here, there) = copied();
    here.file("cur/1.M1.h,S=5:2,S", "hello, longer");
    assert_eq!(reasons(&here, &there), [Reason::Size, Reason::InternalDate, Reason::Digest]);
}

#[test]
fn what_was_verified_is_looked_at_again_only_when_it_changed() {
    let (here, there) = copied();
    there.rest();
    let (mut source, mut target) = (here.local(), there.local());
    let mut state = PassState::default();
    assert_eq!(prehash(&mut source, &mut target, &mut state, &mut watch()).unwrap(), 0);
    // Content changed in place, which no mail program does, with directory times as they were: not looked at.
    let change = |text: &str| {
        let path = there.path("cur/1.M1.h,S=5:2,S");
        let time = std::fs::metadata(&path).unwrap().modified().unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::File::open(&path).unwrap().set_modified(time).unwrap();
    };
    change("hellO");
    assert!(
        matches!(verify(&mut source, &mut target, &mut state, &mut watch()).unwrap(), Verdict::Perfect(equal) if equal.messages == 6)
    );
    change("hello");
    // A change of the directory is seen.
    here.file("cur/6.M1.h:2,", "sixth");
    let verdict = verify(&mut source, &mut target, &mut state, &mut watch()).unwrap();
    assert!(
        matches!(&verdict, Verdict::Differences(list) if list.total == 1 && list.named[0].reason == Reason::Missing),
        "{verdict:?}"
    );
}
