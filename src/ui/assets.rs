//! Style, script and icon: part of the program, so that they are always those of its pages.

use super::answer::Answer;
use sha2::{Digest as _, Sha256};
use std::sync::LazyLock;

/// Name, kind, content.
const ASSETS: [(&str, &str, &[u8]); 3] = [
    ("app.css", "text/css; charset=utf-8", include_bytes!("../../plugin/whm/app.css")),
    ("app.js", "text/javascript; charset=utf-8", include_bytes!("../../plugin/whm/app.js")),
    ("icon.png", "image/png", include_bytes!("../../plugin/whm/linkednodes.png")),
];

/// Changes with every change of the content, so that browsers may keep an asset for good.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut digest = Sha256::new();
    for (_, _, content) in ASSETS {
        digest.update(content);
    }
    digest.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
});

/// The address of an asset.
pub fn address(name: &str) -> String {
    format!("index.cgi?asset={name}&v={}", *VERSION)
}

/// An asset.
pub fn serve(name: &str) -> Answer {
    match ASSETS.iter().find(|(known, _, _)| *known == name) {
        Some((_, kind, content)) => {
            Answer::with(200, kind, content.to_vec()).header("Cache-Control", "private, max-age=31536000, immutable".into())
        }
        None => Answer::plain(404, "There is no such file."),
    }
}
