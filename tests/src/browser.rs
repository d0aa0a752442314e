//! A real browser, driven through WebDriver (<https://www.w3.org/TR/webdriver2/>): Debian's chromium and chromedriver.
//! It has its own client over reqwest: the few commands that tests need are fewer lines than the dependency changes
//! that a library would require.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use serde_json::{Value, json};
use tokio::io::AsyncBufReadExt as _;
use tokio::process::{Child, Command};

use crate::eventually;

/// Longest wait for anything, generous for busy machines.
const LIMIT: Duration = Duration::from_secs(90);
/// WebDriver's codes for keys without a character.
pub mod keys {
    /// Moves the focus.
    pub const TAB: &str = "\u{E004}";
    /// Activates the focused element.
    pub const ENTER: &str = "\u{E007}";
    /// Closes a dialog.
    pub const ESCAPE: &str = "\u{E00C}";
}
/// The key of an element's id in answers.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A running driver, which ends when dropped.
pub struct Driver {
    url: String,
    browser: PathBuf,
    client: reqwest::Client,
    _child: Child,
    profiles: tempfile::TempDir,
}

/// A browser of one person.
pub struct Browser {
    client: reqwest::Client,
    session: String,
}

/// An element of a page.
pub struct Element<'b> {
    browser: &'b Browser,
    id: String,
}

async fn ask(request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
    let text = request.send().await?.text().await?;
    let answer: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
    let value = answer.get("value").cloned().unwrap_or_default();
    match value.get("error").and_then(Value::as_str) {
        Some(error) => {
            let message = value.get("message").and_then(Value::as_str);
            anyhow::bail!("{error}: {}", message.unwrap_or_default())
        }
        None => Ok(value),
    }
}

impl Driver {
    /// Starts a driver; none if driver or browser are missing (the test is recorded as skipped).
    ///
    /// # Errors
    /// When it is installed but does not start.
    pub async fn start() -> anyhow::Result<Option<Self>> {
        flotilla_shared::tls::install_provider();
        let driver = flotilla_needs::program("chromedriver", None, &["chromedriver"]);
        let browser = flotilla_needs::program("chromium", None, &["chromium"]);
        let (Some(driver), Some(browser)) = (driver, browser) else {
            return Ok(None);
        };
        let profiles = tempfile::tempdir()?;
        let mut child = Command::new(driver)
            .arg("--port=0")
            .env("HOME", profiles.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let out = child.stdout.take().context("no standard output")?;
        let mut lines = tokio::io::BufReader::new(out).lines();
        let port = tokio::time::timeout(LIMIT, async {
            while let Some(line) = lines.next_line().await? {
                if let Some((_, rest)) = line.split_once("successfully on port ") {
                    return anyhow::Ok(rest.trim_end_matches('.').to_owned());
                }
            }
            anyhow::bail!("chromedriver ended")
        });
        let port = port.await.context("chromedriver says no port")??;
        // Keep reading: chromedriver blocks when the pipe is full.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Some(Self {
            url: format!("http://127.0.0.1:{port}"),
            browser,
            client: reqwest::Client::builder().timeout(2 * LIMIT).build()?,
            _child: child,
            profiles,
        }))
    }

    /// Opens a browser with a fresh profile of this name, with or without scripts.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn open(&self, profile: &str, scripts: bool) -> anyhow::Result<Browser> {
        let profile = self.profiles.path().join(profile);
        let profile = format!("--user-data-dir={}", profile.display());
        let mut options = json!({
            "binary": self.browser,
            "args": [
                "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
                "--disable-background-networking", "--disable-component-update",
                "--disable-dev-shm-usage", "--no-first-run", "--window-size=1280,1000", profile,
            ],
        });
        if !scripts {
            options["prefs"] = json!({"profile.managed_default_content_settings.javascript": 2});
        }
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "timeouts": {"script": 120_000, "pageLoad": 120_000},
        }}});
        let request = self.client.post(format!("{}/session", self.url));
        let value = ask(request.body(capabilities.to_string())).await?;
        let id = value.get("sessionId").and_then(Value::as_str);
        let id = id.context("no session")?;
        Ok(Browser {
            client: self.client.clone(),
            session: format!("{}/session/{id}", self.url),
        })
    }
}

impl Browser {
    async fn post(&self, what: &str, body: Value) -> anyhow::Result<Value> {
        let request = self.client.post(format!("{}/{what}", self.session));
        ask(request.body(body.to_string())).await
    }

    async fn get(&self, what: &str) -> anyhow::Result<Value> {
        ask(self.client.get(format!("{}/{what}", self.session))).await
    }

    /// Closes it.
    ///
    /// # Errors
    /// When the driver does not answer.
    pub async fn quit(self) -> anyhow::Result<()> {
        ask(self.client.delete(&self.session)).await.map(|_| ())
    }

    /// Opens a page.
    ///
    /// # Errors
    /// When nothing is served there.
    pub async fn go(&self, url: &str) -> anyhow::Result<()> {
        self.post("url", json!({"url": url})).await.map(|_| ())
    }

    /// A command of the Chrome DevTools Protocol.
    ///
    /// # Errors
    /// When it fails.
    pub async fn cdp(&self, command: &str, parameters: Value) -> anyhow::Result<Value> {
        let body = json!({"cmd": command, "params": parameters});
        self.post("goog/cdp/execute", body).await
    }

    /// Runs a script in the page, like the developer console: the page's content security policy does not apply.
    ///
    /// # Errors
    /// When it fails.
    pub async fn script(&self, text: &str) -> anyhow::Result<Value> {
        self.post("execute/sync", json!({"script": text, "args": []}))
            .await
    }

    /// The same for an asynchronous script, which passes its result to its last argument.
    ///
    /// # Errors
    /// When it fails.
    pub async fn script_later(&self, text: &str) -> anyhow::Result<Value> {
        self.post("execute/async", json!({"script": text, "args": []}))
            .await
    }

    /// The visible text.
    ///
    /// # Errors
    /// When there is no page.
    pub async fn text(&self) -> anyhow::Result<String> {
        let body = self.now("body").await?;
        let text = self.get(&format!("element/{}/text", body.id)).await?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until the page contains some text, without loading it again.
    ///
    /// # Errors
    /// When it does not within the limit; with the text of the page.
    pub async fn until(&self, words: &str) -> anyhow::Result<()> {
        let seen = eventually(words, LIMIT, || async {
            // A page that is being replaced has no body for a moment.
            self.text().await.ok()?.contains(words).then_some(())
        });
        match seen.await {
            Ok(()) => Ok(()),
            Err(error) => Err(error.context(self.text().await.unwrap_or_default())),
        }
    }

    /// Waits until the page is at a path.
    ///
    /// # Errors
    /// When it does not within the limit.
    pub async fn at(&self, path: &str) -> anyhow::Result<()> {
        let place = "return location.pathname";
        eventually(path, LIMIT, || async {
            (self.script(place).await.ok()? == path).then_some(())
        })
        .await
    }

    async fn now(&self, css: &str) -> anyhow::Result<Element<'_>> {
        let found = self
            .post("element", json!({"using": "css selector", "value": css}))
            .await?;
        let id = found.get(ELEMENT).and_then(Value::as_str);
        Ok(Element {
            browser: self,
            id: id.context("no element")?.to_owned(),
        })
    }

    /// The first element that matches, as soon as there is one.
    ///
    /// # Errors
    /// When there is none within the limit.
    pub async fn find(&self, css: &str) -> anyhow::Result<Element<'_>> {
        eventually(css, LIMIT, || async { self.now(css).await.ok() }).await
    }

    /// The number of elements that match now.
    ///
    /// # Errors
    /// When there is no page.
    pub async fn count(&self, css: &str) -> anyhow::Result<usize> {
        let found = self
            .post("elements", json!({"using": "css selector", "value": css}))
            .await?;
        Ok(found.as_array().map_or(0, Vec::len))
    }

    /// Presses keys one after the other, sent to the focused element.
    ///
    /// # Errors
    /// When they cannot be pressed.
    pub async fn press(&self, keys: &str) -> anyhow::Result<()> {
        let mut actions = Vec::new();
        for key in keys.chars() {
            actions.push(json!({"type": "keyDown", "value": key}));
            actions.push(json!({"type": "keyUp", "value": key}));
        }
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": actions});
        self.post("actions", json!({"actions": [keyboard]}))
            .await
            .map(|_| ())
    }

    /// Saves a screenshot of the visible part for the documentation: lossy WebP.
    ///
    /// # Errors
    /// When it cannot be saved.
    pub async fn small_picture(&self, path: &Path) -> anyhow::Result<()> {
        let how = json!({"format": "webp", "quality": 75});
        let taken = self.cdp("Page.captureScreenshot", how).await?;
        let data = taken["data"].as_str().context("no picture")?;
        Ok(std::fs::write(
            path,
            base64::engine::general_purpose::STANDARD.decode(data)?,
        )?)
    }

    /// Saves a screenshot of the visible part.
    ///
    /// # Errors
    /// When it cannot be saved.
    pub async fn picture(&self, path: &Path) -> anyhow::Result<()> {
        let picture = self.get("screenshot").await?;
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(picture.as_str().unwrap_or_default())?;
        Ok(std::fs::write(path, bytes)?)
    }
}

impl Element<'_> {
    /// Clicks on it.
    ///
    /// # Errors
    /// When another element covers it.
    pub async fn click(&self) -> anyhow::Result<()> {
        let what = format!("element/{}/click", self.id);
        self.browser.post(&what, json!({})).await.map(|_| ())
    }

    /// Types into it.
    ///
    /// # Errors
    /// When it accepts no input.
    pub async fn write(&self, text: &str) -> anyhow::Result<()> {
        let what = format!("element/{}/value", self.id);
        self.browser
            .post(&what, json!({"text": text}))
            .await
            .map(|_| ())
    }
}
