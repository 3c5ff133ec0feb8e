//! `GET /watch/{id}`: the player's page, and the files it is made of.
//!
//! The page is the same for everybody and tells nothing of a recording: its script asks the API with the token in the
//! page's address, so a token that is not believed makes a page that says so. Everything lies in the binary; nothing is
//! fetched from another host, except from the object store where segments are redirected to it.

use super::extract::Id;
use super::hls::takes_gzip;
use super::problem::{Code, Problem};
use super::{Api, Segments, access};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use domain::id::Sha256;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use std::io::Write as _;
use std::sync::LazyLock;

/// A file of the page: name, content type, bytes.
type File = (&'static str, &'static str, &'static [u8]);

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Everything that the page loads.
const FILES: [File; 10] = [
    ("controls.js", SCRIPT, include_bytes!("../../player/controls.js")),
    ("embed.js", SCRIPT, include_bytes!("../../player/embed.js")),
    ("hls.min.mjs", SCRIPT, include_bytes!("../../player/vendor/hls.js/hls.min.mjs")),
    ("icon.svg", "image/svg+xml", include_bytes!("../../player/icon.svg")),
    ("main.js", SCRIPT, include_bytes!("../../player/main.js")),
    ("player.css", "text/css; charset=utf-8", include_bytes!("../../player/player.css")),
    ("source.js", SCRIPT, include_bytes!("../../player/source.js")),
    ("status.js", SCRIPT, include_bytes!("../../player/status.js")),
    ("timeline.js", SCRIPT, include_bytes!("../../player/timeline.js")),
    ("words.js", SCRIPT, include_bytes!("../../player/words.js")),
];

/// Part of the files' address that changes with any of them, so that they may be kept for ever.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let digests: String = FILES.iter().map(|(name, _, bytes)| format!("{name}{}", Sha256::of(bytes))).collect();
    Sha256::of(digests.as_bytes()).to_string()[..16].to_owned()
});

/// The page. Addresses are relative, so that it works behind a path prefix too.
static PAGE: LazyLock<String> =
    LazyLock::new(|| include_str!("../../player/index.html").replace("{assets}", &format!("assets/{}", *VERSION)));

/// The page of a recording; what it says of a missing or expired token is the script's work, the status is ours.
pub(super) async fn page(
    State(api): State<Api>,
    id: Result<Id, Problem>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let Id(id) = id?;
    let status = match access::service_or_playback(&api, &headers, &uri, &id) {
        Ok(()) => StatusCode::OK,
        Err(problem) => problem.code.status(),
    };
    let http = &api.cx.config.http;
    let store = match http.segments {
        Segments::Auto => api.cx.store.public_origin(),
        Segments::Proxy => None,
    };
    let mut response = Response::new(Body::from(PAGE.as_str()));
    *response.status_mut() = status;
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    fields.insert(header::CONTENT_SECURITY_POLICY, policy(&http.embed_origins, store)?);
    fields.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // The address carries a token.
    fields.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}

/// The files, compressed when one is first asked for: hls.js is a third of its length then.
static COMPRESSED: LazyLock<Vec<Bytes>> = LazyLock::new(|| {
    let compress = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
        Bytes::from(written.expect("memory takes what is written to it"))
    };
    FILES.iter().map(|(.., bytes)| compress(bytes)).collect()
});

/// A file of the page. Another version is another process's, of another release: the page asks again and gets its own.
pub(super) async fn asset(Path((version, name)): Path<(String, String)>, headers: HeaderMap) -> Response {
    let at = FILES.iter().position(|(known, ..)| *known == name).filter(|_| version == *VERSION);
    let Some(at) = at else { return Problem::new(Code::NotFound).into_response() };
    let (_, kind, bytes) = FILES[at];
    let gzip = takes_gzip(&headers);
    let mut response = Response::new(if gzip { Body::from(COMPRESSED[at].clone()) } else { Body::from(bytes) });
    let fields = response.headers_mut();
    if gzip {
        fields.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    fields.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    fields.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// What the page may load, and who may embed it. `store` is the origin that segments are redirected to.
fn policy(embed_origins: &[String], store: Option<&str>) -> Result<HeaderValue, Problem> {
    let store = store.map(|origin| format!(" {origin}")).unwrap_or_default();
    // hls.js hands its media source to the element as a blob.
    let mut text = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'{store}; connect-src 'self'{store}; \
         media-src 'self' blob:{store}; base-uri 'none'; form-action 'none'"
    );
    // Without the directive everybody may, also an application whose pages have no origin on the network.
    if !embed_origins.iter().any(|origin| origin == "*") {
        let origins = if embed_origins.is_empty() { "'none'".to_owned() } else { embed_origins.join(" ") };
        text += &format!("; frame-ancestors {origins}");
    }
    HeaderValue::from_str(&text).map_err(|_| Problem::new(Code::Internal))
}

/// Whether a word of `http.embed_origins` may stand in the policy.
pub(crate) fn is_embed_origin(word: &str) -> bool {
    let host = word.strip_prefix("https://").or_else(|| word.strip_prefix("http://"));
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b".-:*[]".contains(&byte);
    matches!(word, "*" | "'self'") || host.is_some_and(|host| !host.is_empty() && host.bytes().all(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(origins: &[&str], store: Option<&str>) -> String {
        let origins: Vec<String> = origins.iter().map(|&origin| origin.to_owned()).collect();
        policy(&origins, store).unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn policy_names_who_may_embed_and_where_segments_lie() {
        assert!(!of(&["*"], None).contains("frame-ancestors"));
        assert!(of(&[], None).ends_with("; frame-ancestors 'none'"));
        let both = of(&["'self'", "https://app.example.com"], Some("https://b.s3.example.com"));
        assert!(both.ends_with("; frame-ancestors 'self' https://app.example.com"), "{both}");
        assert!(both.contains("connect-src 'self' https://b.s3.example.com;"), "{both}");
    }

    #[test]
    fn embed_origin_cannot_carry_another_directive() {
        for good in ["*", "'self'", "https://app.example.com", "https://*.example.com", "http://127.0.0.1:3000"] {
            assert!(is_embed_origin(good), "{good}");
        }
        for wrong in
            ["", "app.example.com", "https://", "https://a b", "https://a;script-src", "https://a/path", "self"]
        {
            assert!(!is_embed_origin(wrong), "{wrong}");
        }
    }

    #[test]
    fn vendored_file_is_the_one_that_its_source_names() {
        let source = include_str!("../../player/vendor/hls.js/SOURCE");
        let (.., bytes) = FILES.iter().find(|(name, ..)| *name == "hls.min.mjs").unwrap();
        assert!(source.contains(&format!("sha256-{}", Sha256::of(bytes))), "see scripts/player.sh");
    }

    #[test]
    fn page_names_only_files_that_are_there() {
        for part in PAGE.split("assets/").skip(1) {
            let (version, rest) = part.split_once('/').unwrap();
            let name = rest.split('"').next().unwrap();
            assert_eq!(version, *VERSION);
            assert!(FILES.iter().any(|(known, ..)| *known == name), "{name}");
        }
        for (file, _, bytes) in FILES.iter().filter(|(name, kind, _)| *kind == SCRIPT && !name.starts_with("hls")) {
            let text = std::str::from_utf8(bytes).unwrap();
            for import in text.split("from './").skip(1) {
                let name = import.split('\'').next().unwrap();
                assert!(FILES.iter().any(|(known, ..)| *known == name), "{file} imports {name}");
            }
        }
    }
}
