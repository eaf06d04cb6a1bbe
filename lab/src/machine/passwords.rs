//! Password hashes: made as cPanel makes them (SHA-512 crypt), checked whatever their kind.

use super::system;
use crate::call::Failure;

/// A new SHA-512 crypt hash of `password`.
pub fn hash(password: &str) -> Result<String, Failure> {
    // The rounds crypt(3) uses when a hash names none.
    let parameters =
        sha_crypt::Sha512Params::new(5_000).map_err(|error| Failure::new(format!("cannot hash a password: {error:?}")))?;
    sha_crypt::sha512_simple(password, &parameters).map_err(|error| Failure::new(format!("cannot hash a password: {error:?}")))
}

/// Whether `password` gives `hash`. A locked hash (`!…`, `*`) matches nothing.
pub fn verify(password: &str, hash: &str) -> bool {
    if !hash.starts_with('$') && !hash.starts_with("{") {
        return false;
    }
    if hash.starts_with("$6$") && !hash.contains("rounds=") {
        // crypt(3)'s short form.
        let long = hash.replacen("$6$", "$6$rounds=5000$", 1);
        return sha_crypt::sha512_check(password, &long).is_ok();
    }
    if hash.starts_with("$6$") {
        return sha_crypt::sha512_check(password, hash).is_ok();
    }
    verify_by_libcrypt(password, hash)
}

/// Lets libcrypt judge the kinds of hash it knows (yescrypt, MD5, bcrypt …), through the system's Perl. Both strings
/// go over standard input.
fn verify_by_libcrypt(password: &str, hash: &str) -> bool {
    const SCRIPT: &str =
        r#"local $/; my ($p, $h) = split /\0/, <STDIN>, 2; my $c = crypt($p, $h); exit(defined $c && $c eq $h ? 0 : 1)"#;
    if password.contains('\0') {
        return false;
    }
    system::run("perl", &["-e", SCRIPT], format!("{password}\0{hash}").as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_verify_and_locked_ones_do_not() {
        let hash = hash("Correct-Horse-9").unwrap();
        assert!(verify("Correct-Horse-9", &hash));
        assert!(!verify("correct-horse-9", &hash));
        assert!(!verify("Correct-Horse-9", &format!("!{hash}")));
        assert!(!verify("", ""));
        // `openssl passwd -6 -salt abcdefgh secret`, the form without rounds.
        let short = system::run("perl", &["-e", "print crypt('secret', '$6$abcdefgh$')"], b"").unwrap();
        assert!(verify("secret", &short));
        let yescrypt = system::run("perl", &["-e", "print crypt('secret', '$y$j9T$abcdefgh$')"], b"").unwrap();
        assert!(verify("secret", &yescrypt) && !verify("Secret", &yescrypt));
    }
}
