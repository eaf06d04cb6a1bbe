//! `Quota` and `Mailboxes`: what the account takes and may take.

use serde_json::{Value, json};

use crate::call::{Failure, Reply};
use crate::machine::system;
use crate::uapi::Context;
use crate::uapi::home::Usage;
use crate::uapi::mailboxes::{Address, MIB, Mailboxes};

/// The account's quota in bytes; 0 is unlimited. cPanel keeps it in blocks of 1 KiB.
fn byte_limit(cx: &Context<'_>) -> u64 {
    let blocks = cx.account.limit("DISK_BLOCK_LIMIT").map(|blocks| blocks * 1024);
    blocks.or_else(|| Some(cx.account.limit("QUOTA")? * MIB)).unwrap_or(0)
}

fn used(cx: &Context<'_>) -> Result<Usage, Failure> {
    Ok(cx.account.open_home(cx.machine)?.usage("")?)
}

/// `Quota::get_local_quota_info`: this server's share.
pub fn get_local_quota_info(cx: &Context<'_>) -> Reply {
    let usage = used(cx)?;
    Ok(json!({
        "byte_limit": byte_limit(cx),
        "bytes_used": usage.bytes,
        "inode_limit": 0,
        "inodes_used": usage.inodes,
    })
    .into())
}

/// `Quota::get_quota_info`, in megabytes with two decimals.
pub fn get_quota_info(cx: &Context<'_>) -> Reply {
    let usage = used(cx)?;
    let limit = byte_limit(cx);
    let under = limit == 0 || usage.bytes < limit;
    Ok(json!({
        "inode_limit": 0,
        "inodes_remain": 0,
        "inodes_used": usage.inodes,
        "megabyte_limit": megabytes(limit),
        "megabytes_remain": megabytes(limit.saturating_sub(usage.bytes)),
        "megabytes_used": megabytes(usage.bytes),
        "under_inode_limit": 1,
        "under_megabyte_limit": u8::from(under),
        "under_quota_overall": u8::from(under),
    })
    .into())
}

/// Two decimals, as cPanel writes megabytes.
fn megabytes(bytes: u64) -> String {
    let hundredths = (bytes * 100 + MIB / 2) / MIB;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// `Mailboxes::get_mailbox_status_list` of a mailbox or the main account: its folders, as Dovecot counts them.
pub fn get_mailbox_status_list(cx: &Context<'_>) -> Reply {
    let account = cx.args.need("account")?;
    if account != cx.account.user {
        let address = Address::parse(cx.account, account)?;
        Mailboxes::open(cx.machine, cx.account)?.need(&address)?;
    }
    if !cx.machine.is_live() {
        return Err(Failure::new("Dovecot does not run on this machine."));
    }
    let table = system::run(
        "doveadm",
        &["-f", "tab", "mailbox", "status", "-u", account, "guid messages vsize", "INBOX", "INBOX.*"],
        b"",
    )?;
    Ok(Value::Array(folders(&table)?).into())
}

/// Reads doveadm's table: a line of column names, then one line for each folder.
fn folders(table: &str) -> Result<Vec<Value>, Failure> {
    let mut lines = table.lines();
    let columns: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
    let odd = || Failure::new("Dovecot's list of folders is not understood.");
    let column = |name: &str| columns.iter().position(|column| *column == name).ok_or_else(odd);
    let (name, guid) = (column("mailbox")?, column("guid")?);
    let (messages, vsize) = (column("messages")?, column("vsize")?);
    lines
        .map(|line| {
            let cells: Vec<&str> = line.split('\t').collect();
            let cell = |at: usize| cells.get(at).copied().ok_or_else(odd);
            let number = |at: usize| cell(at)?.parse::<u64>().map_err(|_| odd());
            Ok(json!({
                "guid": cell(guid)?,
                "mailbox": unescaped(cell(name)?),
                "messages": number(messages)?,
                "vsize": number(vsize)?,
            }))
        })
        .collect()
}

/// Dovecot's escapes in tables: `\001` before 0, 1, t, r, n.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\u{1}' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('1') => out.push('\u{1}'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('n') => out.push('\n'),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_read_by_column_name() {
        let table = "mailbox\tmessages\tvsize\tguid\nINBOX\t3\t1200\tab12\nINBOX.A\u{1}tB\t0\t0\tcd\n";
        let list = folders(table).unwrap();
        assert_eq!(list[0], json!({"guid": "ab12", "mailbox": "INBOX", "messages": 3, "vsize": 1200}));
        assert_eq!(list[1]["mailbox"], "INBOX.A\tB");
        assert!(folders("nonsense\n").is_err());
    }

    #[test]
    fn megabytes_have_two_decimals() {
        assert_eq!(megabytes(0), "0.00");
        assert_eq!(megabytes(5 * MIB + MIB / 2), "5.50");
    }
}
