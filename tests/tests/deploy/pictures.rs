//! Screenshots of README and the book: pages of the demo in a browser, in the light and dark scheme.
//! `FLOTILLA_REGENERATE=1` writes those of the book again; review them.

use std::path::{Path, PathBuf};

use flotilla_tests::browser::Driver;
use serde_json::json;

use crate::book::root;

const PAGES: [(&str, &str); 2] = [("fleet", "/"), ("environment", "/env/prod")];
/// The maximum size of a screenshot that a page loads.
const MOST: u64 = 64 << 10;

fn directory() -> PathBuf {
    match std::env::var_os("FLOTILLA_REGENERATE") {
        Some(_) => root().join("deploy/docs/src/pictures"),
        None => Path::new(env!("CARGO_TARGET_TMPDIR")).join("pictures"),
    }
}

/// Takes the screenshots if there is a browser, which `link` logs in.
pub(crate) async fn take(link: &str) {
    let Some(driver) = Driver::start().await.unwrap() else {
        return;
    };
    let browser = driver.open("pictures", true).await.unwrap();
    let size = json!({"width": 1200, "height": 700, "deviceScaleFactor": 1, "mobile": false});
    let set = "Emulation.setDeviceMetricsOverride";
    browser.cdp(set, size).await.unwrap();
    browser.go(link).await.unwrap();
    browser.until("prod").await.unwrap();
    let (origin, _) = link.split_once("/?").unwrap();
    std::fs::create_dir_all(directory()).unwrap();
    for scheme in ["light", "dark"] {
        let feature = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        let set = "Emulation.setEmulatedMedia";
        browser
            .cdp(set, json!({"features": feature}))
            .await
            .unwrap();
        for (name, path) in PAGES {
            browser.go(&format!("{origin}{path}")).await.unwrap();
            browser.until("prod").await.unwrap();
            let path = directory().join(format!("{name}-{scheme}.webp"));
            browser.small_picture(&path).await.unwrap();
            let bytes = std::fs::metadata(&path).unwrap().len();
            assert!(
                (1 << 10..MOST).contains(&bytes),
                "{}: {bytes}",
                path.display()
            );
        }
    }
    browser.quit().await.unwrap();
}

#[test]
fn the_books_pictures_are_small_and_shown() {
    let mut texts = std::fs::read_to_string(root().join("README.md")).unwrap();
    for page in ["introduction", "tutorials/demo"] {
        let page = format!("deploy/docs/src/{page}.md");
        texts += &std::fs::read_to_string(root().join(page)).unwrap();
    }
    for (name, _) in PAGES {
        for scheme in ["light", "dark"] {
            let name = format!("pictures/{name}-{scheme}.webp");
            let path = root().join("deploy/docs/src").join(&name);
            let bytes = std::fs::metadata(path).unwrap().len();
            assert!(bytes < MOST, "{name}: {bytes}");
            assert!(texts.contains(&name), "{name} is shown nowhere");
        }
    }
}
