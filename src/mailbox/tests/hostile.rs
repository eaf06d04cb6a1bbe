//! Customers and other nodes that mean ill.

use super::*;
use crate::error::Code;
use crate::mailbox::frame::{Framed, Kind};
use std::os::unix::fs::{DirBuilderExt as _, symlink};

fn root() -> bool {
    rustix::process::getuid().is_root()
}

#[test]
fn what_is_not_a_file_of_the_account_is_left_out_and_named() {
    let (here, there) = (Home::filled(12_345), Home::new(12_346));
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "root's secret").unwrap();
    for dir in ["cur", "new", "tmp"] {
        std::fs::create_dir(outside.path().join(dir)).unwrap();
    }
    symlink(outside.path(), here.path(".Linked")).unwrap();
    symlink(outside.path().join("secret"), here.path("cur/link:2,")).unwrap();
    symlink(outside.path(), here.path(".bob@example_com")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, here.path("new/fifo"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    drop(std::os::unix::net::UnixListener::bind(here.path("new/socket")).unwrap());
    std::fs::create_dir(here.path("cur/dir")).unwrap();
    std::fs::File::create(here.path("cur/huge:2,")).unwrap().set_len(MAX_MESSAGE + 1).unwrap();
    here.own(&here.path("cur/huge:2,"));
    let mut expected = vec![
        (".Linked".to_owned(), Why::Symlink),
        ("/cur/link:2,".to_owned(), Why::Symlink),
        (".bob@example_com".to_owned(), Why::Symlink),
        ("/new/fifo".to_owned(), Why::Special),
        ("/new/socket".to_owned(), Why::Special),
        ("/cur/dir".to_owned(), Why::Directory),
        ("/cur/huge:2,".to_owned(), Why::TooLarge),
    ];
    if root() {
        std::fs::hard_link(outside.path().join("secret"), here.path("cur/hard:2,")).unwrap();
        expected.push(("/cur/hard:2,".to_owned(), Why::Foreign));
    }
    let report = pass(&mut here.local(), &mut there.local(), &mut PassState::default(), REMOVE, &mut watch()).unwrap();
    let mut named = report.left_out.named;
    for (path, _) in &mut named {
        if path.starts_with("/.") {
            path.remove(0);
        }
    }
    named.sort();
    expected.sort();
    assert_eq!(named, expected);
    assert_eq!(report.left_out.total as usize, expected.len());
    assert_eq!(report.messages, 6);
    assert!(there.files().iter().all(|(_, _, _, text)| !text.contains("secret")));
    // Cleaning removes the names, not what they lead to.
    here.local().remove_messages().unwrap();
    assert_eq!(std::fs::read_to_string(outside.path().join("secret")).unwrap(), "root's secret");
}

#[test]
fn a_folder_swapped_for_a_link_in_mid_copy_leads_nowhere() {
    let (here, there) = (Home::filled(12_345), Home::new(12_346));
    let outside = tempfile::tempdir().unwrap();
    for dir in ["cur", "new", "tmp"] {
        std::fs::create_dir(outside.path().join(dir)).unwrap();
        chown(outside.path().join(dir), Some(here.uid), None).unwrap();
    }
    std::fs::write(outside.path().join("cur/5.M1.h:2,Rb"), "x".repeat(1_000_000)).unwrap();
    let folder = "example.com/bob/.A&AOk-.b c.";
    let mut swapped = false;
    let mut swap = |_: &Progress| {
        for home in [&here, &there] {
            if !swapped && home.path(folder).exists() {
                std::fs::rename(home.path(folder), home.path("example.com/aside")).unwrap();
                symlink(outside.path(), home.path(folder)).unwrap();
            }
        }
        swapped = true;
        ControlFlow::Continue(())
    };
    let outcome = pass(&mut here.local(), &mut there.local(), &mut PassState::default(), REMOVE, &mut swap);
    // Whichever step met the link first: it failed, or left the folder out. Nothing was read or written behind it.
    if let Err(error) = outcome {
        assert_eq!(error.code, Code::Refused, "{error:?}");
    }
    let names: Vec<_> = std::fs::read_dir(outside.path().join("cur")).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["5.M1.h:2,Rb"]);
    assert_eq!(std::fs::read_dir(outside.path().join("tmp")).unwrap().count(), 0);
    assert!(there.files().iter().all(|(_, _, _, text)| !text.starts_with("xxx")));
}

#[test]
fn a_mail_directory_swapped_for_another_is_refused() {
    let here = Home::filled(12_345);
    let mut local = here.local();
    local.tree().unwrap();
    std::fs::rename(here.path(""), here.dir.path().join("aside")).unwrap();
    assert_eq!(local.tree().unwrap_err().code, Code::NotFound);
    here.folder(".");
    assert_eq!(local.tree().unwrap_err().code, Code::Conflict);
    std::fs::remove_dir_all(here.path("")).unwrap();
    symlink("/etc", here.dir.path().join("mail")).unwrap();
    assert_eq!(here.local().tree().unwrap_err().code, Code::Refused);
}

#[test]
fn the_fence_goes_up_and_down_again_also_after_a_restart() {
    if !root() {
        return;
    }
    let here = Home::filled(12_345);
    std::fs::set_permissions(here.path(""), std::os::unix::fs::PermissionsExt::from_mode(0o750)).unwrap();
    let look = || {
        let meta = std::fs::metadata(here.path("")).unwrap();
        (meta.uid(), meta.gid(), meta.mode() & 0o7777)
    };
    let mut local = here.local();
    local.fence(true).unwrap();
    local.fence(true).unwrap();
    assert_eq!(look(), (0, 0, 0o700));
    assert_eq!(local.usage().unwrap().messages, 6, "root still reads");
    let mut restarted = here.local();
    restarted.fence(true).unwrap();
    restarted.fence(false).unwrap();
    restarted.fence(false).unwrap();
    assert_eq!(look(), (here.uid, here.uid, 0o750));

    // Moved aside while fenced: the fence says so, and still comes off the right directory.
    local.fence(true).unwrap();
    std::fs::rename(here.path(""), here.dir.path().join("aside")).unwrap();
    here.folder(".");
    assert_eq!(local.fence(true).unwrap_err().code, Code::Conflict);
    local.fence(false).unwrap();
    assert_eq!(std::fs::metadata(here.dir.path().join("aside")).unwrap().uid(), here.uid);
    assert_eq!(look().0, here.uid);

    // A directory of root's that bears the name but was never fenced is neither read nor given away.
    std::fs::remove_dir_all(here.path("")).unwrap();
    std::fs::DirBuilder::new().mode(0o700).create(here.path("")).unwrap();
    let mut local = here.local();
    assert_eq!(local.tree().unwrap_err().code, Code::Refused);
    local.fence(false).unwrap();
    assert_eq!(look().0, 0);
}

/// What `serve` answers to these frames.
fn answer_to(home: &Home, frames: &[(Kind, &str)]) -> (Kind, String) {
    let (near, far) = UnixStream::pair().unwrap();
    let local = home.local();
    let thread = std::thread::spawn(move || serve(far, local));
    let mut framed = Framed::new(near);
    for (kind, payload) in frames {
        framed.send(*kind, payload.as_bytes()).unwrap();
    }
    framed.flush().unwrap();
    let (kind, payload) = framed.frame().unwrap();
    drop(framed);
    let _ = thread.join().unwrap();
    (kind, String::from_utf8_lossy(&payload).into_owned())
}

#[test]
fn serve_refuses_names_that_lead_out() {
    let home = Home::filled(12_345);
    let head = |slot: &str| format!("[0,{{\"slot\":{slot},\"size\":1,\"mtime_ns\":0}}]");
    let message =
        |folder: &str, name: &str| format!("{{\"message\":{{\"folder\":\"{folder}\",\"place\":\"cur\",\"name\":\"{name}\"}}}}");
    let write = "{\"ask\":\"write\"}";
    for slot in [
        message("", "../x"),
        message("", ".."),
        message("../..", "x"),
        message("a/../b", "x"),
        message("", "a\\\\x00b"),
        "{\"control\":{\"folder\":\"\",\"control\":\"../.bashrc\"}}".to_owned(),
        "{\"control\":{\"folder\":\"\",\"control\":\"sieve/../../.bashrc\"}}".to_owned(),
        "{\"control\":{\"folder\":\"\",\"control\":\".bashrc\"}}".to_owned(),
    ] {
        let frames = [(Kind::Request, write), (Kind::Head, &head(&slot)), (Kind::Data, "x"), (Kind::End, ""), (Kind::Done, "")];
        let (kind, text) = answer_to(&home, &frames);
        assert_eq!(kind, Kind::Error, "{slot}: {text}");
        assert!(text.contains("refused"), "{slot}: {text}");
    }
    let (kind, _) = answer_to(&home, &[(Kind::Request, "{\"ask\":\"stat\",\"folders\":[\"../..\"]}")]);
    assert_eq!(kind, Kind::Error);
    let (kind, _) = answer_to(&home, &[(Kind::Request, "{\"ask\":\"remove_everything\"}")]);
    assert_eq!(kind, Kind::Error);
    // The same with good names is done.
    let good = head(&message("", "new.M1.h"));
    let frames = [(Kind::Request, write), (Kind::Head, good.as_str()), (Kind::Data, "x"), (Kind::End, ""), (Kind::Done, "")];
    assert_eq!(answer_to(&home, &frames).0, Kind::Reply);
    assert!(home.path("cur/new.M1.h").exists());
    // More bytes than announced.
    let long = head(&message("", "long.M1.h"));
    let frames = [(Kind::Request, write), (Kind::Head, long.as_str()), (Kind::Data, "xx"), (Kind::End, ""), (Kind::Done, "")];
    assert_eq!(answer_to(&home, &frames).0, Kind::Error);
    assert!(!home.path("cur/long.M1.h").exists());
    assert!(home.files().iter().all(|(name, ..)| !name.contains("linked-nodes.")));
}

/// What a call on a remote side says to a node that answers with these frames.
fn told(frames: Vec<(Kind, Vec<u8>)>, call: impl FnOnce(&mut Remote<UnixStream>) -> crate::error::Result<()>) -> Code {
    let (near, far) = UnixStream::pair().unwrap();
    let thread = std::thread::spawn(move || {
        let mut framed = Framed::new(far);
        while framed.frame().is_ok_and(|(kind, _)| kind != Kind::Done && kind != Kind::Request) {}
        for (kind, payload) in frames {
            let _ = framed.send(kind, &payload);
        }
        let _ = framed.flush();
        while framed.frame().is_ok() {}
    });
    let mut remote = Remote::new("ada", near);
    let code = call(&mut remote).unwrap_err().code;
    drop(remote);
    thread.join().unwrap();
    code
}

#[test]
fn a_remote_that_lies_is_refused() {
    let stat = "{\"cur\":{\"id\":[0,0],\"mtime_ns\":0,\"size\":0},\"new\":null,\"controls\":[],\"caches\":false,\"left_out\":{\"total\":0,\"named\":[]}}";
    let item = |folder: &str| (Kind::Item, format!("{{\"folder\":\"{folder}\",\"stat\":{stat}}}").into_bytes());
    assert_eq!(told(vec![item("../x")], |remote| remote.tree().map(drop)), Code::Refused);
    assert_eq!(
        told(
            vec![
                item(".b"),
                item(".a"),
                (
                    Kind::Reply,
                    b"{\"now_ns\":0,\"folders\":[],\"left_out\":{\"total\":0,\"named\":[]},\"unsupported\":[]}".to_vec()
                )
            ],
            |remote| remote.tree().map(drop)
        ),
        Code::Refused
    );
    let listing = |count: usize, rows: &[&[u8]]| {
        let head = format!(
            "{{\"exists\":true,\"entries\":{count},\"left_out\":{{\"total\":0,\"named\":[]}},\"uids\":null,\"keywords\":[],\"controls\":[]}}"
        );
        let mut entries = Vec::new();
        for name in rows {
            entries.extend_from_slice(&[0; 21]);
            entries.push(u8::try_from(name.len()).unwrap());
            entries.extend_from_slice(name);
        }
        vec![(Kind::Listing, head.into_bytes()), (Kind::Entries, entries), (Kind::Reply, b"null".to_vec())]
    };
    let list = |remote: &mut Remote<UnixStream>| remote.list(&[Folder::default()], false, &mut |_| Ok(()));
    for (count, rows) in
        [(1, &[&b"../x"[..]][..]), (1, &[b".."]), (1, &[b".hidden"]), (2, &[b"b", b"a"]), (1, &[b"a", b"b"]), (9_999_999, &[])]
    {
        assert_eq!(told(listing(count, rows), list), Code::Refused, "{rows:?}");
    }
    // A node that sends another message than it was asked for.
    let there = Home::new(12_346);
    let mut tree = vec![item("")];
    tree.push((
        Kind::Reply,
        b"{\"now_ns\":0,\"folders\":[],\"left_out\":{\"total\":0,\"named\":[]},\"unsupported\":[]}".to_vec(),
    ));
    let (near, far) = UnixStream::pair().unwrap();
    let thread = std::thread::spawn(move || {
        let mut framed = Framed::new(far);
        while let Ok((kind, payload)) = framed.frame() {
            let text = String::from_utf8_lossy(&payload).into_owned();
            let answer = match kind {
                Kind::Request if text.contains("tree") => std::mem::take(&mut tree),
                Kind::Request if text.contains("list") => listing(1, &[b"asked"]),
                Kind::Done => vec![(
                    Kind::Head,
                    b"[0,{\"slot\":{\"message\":{\"folder\":\"\",\"place\":\"cur\",\"name\":\"other\"}},\"size\":0,\"mtime_ns\":0}]".to_vec(),
                ), (Kind::End, vec![]), (Kind::Reply, b"null".to_vec())],
                _ => continue,
            };
            for (kind, payload) in answer {
                let _ = framed.send(kind, &payload);
            }
            let _ = framed.flush();
        }
    });
    let mut remote = Remote::new("ada", near);
    let error = pass(&mut remote, &mut there.local(), &mut PassState::default(), KEEP, &mut watch()).unwrap_err();
    drop(remote);
    thread.join().unwrap();
    assert_eq!(error.code, Code::Refused, "{error:?}");
    assert_eq!(there.files(), []);
}
