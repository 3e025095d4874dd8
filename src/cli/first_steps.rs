//! The words of a first run: what to open and what to paste. It never starts or asks anything.

use std::path::{Path, PathBuf};

use crate::config::Settings;
use crate::development;
use crate::transport::console::sign_in::Served;

/// What to open and what to paste, printed where the development secret is the key. What is the default of the
/// commands is left out.
///
/// Where the hub is this machine's alone the page signs in by itself; elsewhere it asks for a token. None is printed: what a
/// hub says is kept in logs.
pub(super) fn words(program: &str, served: Served, data_dir: &Path) -> String {
    let Served { addr, scheme } = served;
    let defaults = Settings::default();
    let host = if addr.ip().is_unspecified() { "127.0.0.1".to_owned() } else { addr.ip().to_string() };
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let url = format!("{scheme}://{host}:{}", addr.port());
    let is_default = addr == defaults.http.listen && scheme == "http";
    let url_argument = if is_default { String::new() } else { format!(" --url {url}") };
    let data = if data_dir == defaults.store.data_dir {
        String::new()
    } else {
        format!(" --data {}", shell_word(&data_dir.display().to_string()))
    };
    let private = match scheme {
        "https" => {
            "\nPut the name that the certificate is for in the place of the address. Where a private authority signed it, \
             add --ca FILE (curl: --cacert FILE).\n"
        }
        _ => "",
    };
    let signed_in = match served.is_local() {
        true => String::new(),
        false => format!("\nIt asks for a token; this makes one:\n  {program} token --sub ada{data}\n"),
    };
    format!(
        "\nOpen in a browser:\n  {url}/#/threads/{thread}\n{signed_in}\n\
         Paste into terminals:\n  {program} tail thread/{thread}{url_argument}{data}\n  \
         {program} publish thread/{thread} hello{url_argument}{data}\n  \
         curl -N -H \"Authorization: Bearer $({program} token --sub me{data})\" -H \"X-Tenant-Id: {tenant}\" \
         -H \"X-Env: {env}\" -H \"Accept: text/event-stream\" \"{url}/v1/threads/{thread}/events?last=10\"\n{private}",
        tenant = development::DEMO_TENANT,
        env = development::DEMO_ENV,
        thread = development::DEMO_THREAD,
    )
}

/// How this program is called from here: as it was found on the path, or by the shorter of its two ways.
pub(super) fn program() -> String {
    let called = std::env::args_os().next().map_or_else(|| "tambour".into(), PathBuf::from);
    let on_path = called.components().count() == 1 && !called.is_absolute();
    let shorter = || {
        let (itself, here) = (std::env::current_exe().ok()?, std::env::current_dir().ok()?);
        itself.strip_prefix(here).ok().filter(|path| path.components().count() > 1).map(Path::to_owned)
    };
    let path = if on_path { called } else { shorter().unwrap_or(called) };
    shell_word(&path.display().to_string())
}

/// A text as one word of a shell.
fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a hub at an address.
    fn said(program: &str, scheme: &'static str, addr: &str, data_dir: &str) -> String {
        words(program, Served { addr: addr.parse().unwrap(), scheme }, Path::new(data_dir))
    }

    #[test]
    fn what_is_the_default_is_not_pasted() {
        let defaults = Settings::default();
        let data_dir = defaults.store.data_dir.to_str().unwrap();
        let words = said("target/release/tambour", "http", &defaults.http.listen.to_string(), data_dir);
        assert!(words.contains("\n  target/release/tambour tail thread/welcome\n"), "{words}");
        assert!(words.contains("\n  target/release/tambour publish thread/welcome hello\n"), "{words}");
        assert!(words.contains("$(target/release/tambour token --sub me)"), "{words}");
        let words = said("tambour", "http", "0.0.0.0:9", "/my data");
        assert!(words.contains("tambour tail thread/welcome --url http://127.0.0.1:9 --data '/my data'\n"), "{words}");
        assert!(words.contains("token --sub me --data '/my data')"), "{words}");
        let words = said("tambour", "https", "[::1]:9", "d");
        assert!(words.contains("\n  https://[::1]:9/#/threads/welcome\n") && words.contains("--ca FILE"), "{words}");
    }

    #[test]
    fn where_the_page_asks_for_a_token_it_is_said_how_to_make_one() {
        for (addr, url, asks) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080", false),
            ("127.3.2.1:9", "http://127.3.2.1:9", false),
            ("0.0.0.0:9", "http://127.0.0.1:9", true),
            ("192.0.2.1:9", "http://192.0.2.1:9", true),
        ] {
            let words = said("tambour", "http", addr, "d");
            assert!(words.contains(&format!("Open in a browser:\n  {url}/#/threads/welcome\n")), "{words}");
            assert_eq!(words.contains("\n  tambour token --sub ada --data d\n"), asks, "{words}");
        }
    }
}
