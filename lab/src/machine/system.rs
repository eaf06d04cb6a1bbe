//! Users of the operating system: by its own tools on a running server, by editing `/etc/passwd` in a scratch folder.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Machine, files};
use crate::call::Failure;

/// What `/etc/passwd` says of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemUser {
    /// Login name.
    pub name: String,
    /// User number.
    pub uid: u32,
    /// Group number.
    pub gid: u32,
    /// Home directory, absolute on the server (below [`Machine::root`] in a scratch folder).
    pub home: PathBuf,
    /// Login shell.
    pub shell: String,
}

/// What a new user is to be.
#[derive(Debug, Clone)]
pub struct NewUser<'a> {
    /// Login name; the group gets the same.
    pub name: &'a str,
    /// Home directory.
    pub home: &'a str,
    /// Login shell.
    pub shell: &'a str,
    /// User number wished for.
    pub uid: Option<u32>,
    /// Group number wished for.
    pub gid: Option<u32>,
}

/// Runs a command of the system, quietly; its complaint becomes the failure.
pub fn run(program: &str, arguments: &[&str], input: &[u8]) -> Result<String, Failure> {
    let mut child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| Failure::new(format!("{program}: {error}")))?;
    if let Some(mut pipe) = child.stdin.take() {
        // A command that does not read its input closes it: its own status tells.
        let _ = pipe.write_all(input);
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(format!("{program} failed ({}): {}", output.status, said.trim())))
}

impl Machine {
    /// The system user `name`.
    pub fn system_user(&self, name: &str) -> Option<SystemUser> {
        let text = files::text(&self.path("/etc/passwd")).ok()?;
        text.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [found, _, uid, gid, _, home, shell] = fields.as_slice() else { return None };
            (*found == name).then_some(())?;
            Some(SystemUser {
                name: name.to_owned(),
                uid: uid.parse().ok()?,
                gid: gid.parse().ok()?,
                home: PathBuf::from(home),
                shell: (*shell).to_owned(),
            })
        })
    }

    /// The number of a group.
    pub fn group_id(&self, name: &str) -> Option<u32> {
        let text = files::text(&self.path("/etc/group")).ok()?;
        text.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
        })
    }

    /// A user's password hash in `/etc/shadow`.
    pub fn shadow_hash(&self, user: &str) -> Option<String> {
        let text = files::text(&self.path("/etc/shadow")).ok()?;
        files::lookup(&text, user).map(|rest| rest.split(':').next().unwrap_or_default().to_owned()).filter(|_| !user.is_empty())
    }

    /// Adds a user and its group. The home directory is only named, not made.
    pub fn add_system_user(&self, new: &NewUser<'_>) -> Result<SystemUser, Failure> {
        if self.system_user(new.name).is_some() || self.group_id(new.name).is_some() {
            return Err(Failure::new(format!("Sorry, the username “{}” is already in use on this system.", new.name)));
        }
        if self.is_live() {
            let mut group: Vec<String> = Vec::new();
            group.extend(new.gid.iter().flat_map(|gid| ["--gid".to_owned(), gid.to_string()]));
            group.push(new.name.to_owned());
            let group: Vec<&str> = group.iter().map(String::as_str).collect();
            run("groupadd", &group, b"")?;
            let uid = new.uid.map(|uid| uid.to_string());
            let mut options = vec!["--no-create-home", "--no-log-init", "--gid", new.name];
            options.extend(["--home-dir", new.home, "--shell", new.shell]);
            options.extend(uid.iter().flat_map(|uid| ["--uid", uid.as_str()]));
            options.push(new.name);
            if let Err(failure) = run("useradd", &options, b"") {
                let _ = run("groupdel", &[new.name], b"");
                return Err(failure);
            }
        } else {
            let taken = files::text(&self.path("/etc/passwd"))?;
            let ids = taken.lines().filter_map(|line| line.split(':').nth(2)?.parse::<u32>().ok());
            let uid = new.uid.unwrap_or_else(|| ids.max().unwrap_or(0).max(1000) + 1);
            let gid = new.gid.unwrap_or(uid);
            let NewUser { name, home, shell, .. } = new;
            for (file, line) in [
                ("/etc/group", format!("{name}:x:{gid}:")),
                ("/etc/passwd", format!("{name}:x:{uid}:{gid}::{home}:{shell}")),
                ("/etc/shadow", format!("{name}:!:19000:0:99999:7:::")),
            ] {
                self.edit::<Failure>(file, 0o644, |old| Ok(format!("{old}{line}\n")))?;
            }
        }
        self.system_user(new.name).ok_or_else(|| Failure::new(format!("the new user “{}” is not there", new.name)))
    }

    /// Removes a user and its group, ending what runs as the user. The home directory is left.
    pub fn delete_system_user(&self, user: &str) -> Result<(), Failure> {
        if self.is_live() {
            if self.system_user(user).is_some() {
                self.end_processes(user)?;
                run("userdel", &["--force", user], b"")?;
            }
            if self.group_id(user).is_some() {
                run("groupdel", &[user], b"")?;
            }
            return Ok(());
        }
        for file in ["/etc/passwd", "/etc/group", "/etc/shadow"] {
            self.edit::<Failure>(file, 0o644, |old| {
                let prefix = format!("{user}:");
                let kept = old.lines().filter(|line| !line.starts_with(&prefix));
                Ok(kept.map(|line| format!("{line}\n")).collect())
            })?;
        }
        Ok(())
    }

    /// Gives a user and its group another name and home directory, ending what runs as the user.
    pub fn rename_system_user(&self, old: &str, new: &str, home: &str) -> Result<(), Failure> {
        if self.is_live() {
            self.end_processes(old)?;
            run("usermod", &["--login", new, "--home", home, old], b"")?;
            run("groupmod", &["--new-name", new, old], b"")?;
            return Ok(());
        }
        for file in ["/etc/passwd", "/etc/group", "/etc/shadow"] {
            self.edit::<Failure>(file, 0o644, |text| {
                let prefix = format!("{old}:");
                let renamed = text.lines().map(|line| match line.strip_prefix(&prefix) {
                    Some(rest) => format!("{new}:{}\n", rest.replace(&format!("/home/{old}:"), &format!("{home}:"))),
                    None => format!("{line}\n"),
                });
                Ok(renamed.collect())
            })?;
        }
        Ok(())
    }

    /// Sets a user's login shell.
    pub fn set_shell(&self, user: &str, shell: &str) -> Result<(), Failure> {
        if self.is_live() {
            return run("usermod", &["--shell", shell, user], b"").map(drop);
        }
        self.edit("/etc/passwd", 0o644, |old| {
            let prefix = format!("{user}:");
            let lines = old.lines().map(|line| match line.rsplit_once(':') {
                Some((head, _)) if line.starts_with(&prefix) => format!("{head}:{shell}\n"),
                _ => format!("{line}\n"),
            });
            Ok(lines.collect())
        })
    }

    /// Sets a user's password hash, as `/etc/shadow` holds it.
    pub fn set_shadow_hash(&self, user: &str, hash: &str) -> Result<(), Failure> {
        if hash.contains([':', '\n']) {
            return Err(Failure::new("A password hash holds no colon and no line break."));
        }
        if self.is_live() {
            return run("chpasswd", &["-e"], format!("{user}:{hash}\n").as_bytes()).map(drop);
        }
        self.edit("/etc/shadow", 0o640, |old| {
            let prefix = format!("{user}:");
            let lines = old.lines().map(|line| match line.strip_prefix(&prefix) {
                Some(rest) => {
                    let rest = rest.split_once(':').map_or("", |(_, rest)| rest);
                    format!("{user}:{hash}:{rest}\n")
                }
                None => format!("{line}\n"),
            });
            Ok(lines.collect())
        })
    }

    /// Ends every process of `user` on this server.
    fn end_processes(&self, user: &str) -> Result<(), Failure> {
        let Some(found) = self.system_user(user).filter(|found| found.uid >= 500) else {
            return Ok(());
        };
        for entry in std::fs::read_dir("/proc")?.flatten() {
            use std::os::unix::fs::MetadataExt;
            let number = entry.file_name().to_string_lossy().parse::<i32>().ok();
            let (Some(number), Ok(status)) = (number, entry.metadata()) else { continue };
            if status.uid() == found.uid
                && let Some(pid) = rustix::process::Pid::from_raw(number)
            {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        Ok(())
    }
}

/// Makes a directory with this owner and mode, or gives an existing one both.
pub fn directory(path: &Path, uid: u32, gid: u32, mode: u32) -> Result<(), Failure> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error.into()),
        _ => {}
    }
    // Not through a link somebody may have put there.
    if !std::fs::symlink_metadata(path)?.is_dir() {
        return Err(Failure::new(format!("{} is no directory", path.display())));
    }
    std::os::unix::fs::lchown(path, Some(uid), Some(gid))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    Ok(())
}
