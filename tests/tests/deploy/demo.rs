//! Every line of every page, run beside the demo that README's first line starts.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use flotilla_tests::ports::free_address;
use flotilla_tests::postgres::Postgres;
use flotilla_tests::repository::git;
use flotilla_tests::{eventually, programs};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::book::{Line, block, lines, page, root};
use crate::pictures;
use crate::reader::{Reader, follows};

/// The first line of README and of the tutorial.
const START: &str = "cargo run";
/// Has its own test, with a cluster that joins.
const TUTORIAL: &str = "deploy/docs/src/tutorials/own-clusters.md";
/// Pages whose lines change what others show; run in this order after all others.
const LAST: [&str; 4] = [
    "deploy/docs/src/tutorials/pull-requests.md",
    "deploy/docs/src/how-to/roll-out.md",
    "deploy/docs/src/how-to/take-away.md",
    "deploy/docs/src/how-to/rotate-authority.md",
];

/// Longest wait for the preconditions of a page.
const LIMIT: Duration = Duration::from_secs(60);

/// The demo, as a user starts and ends it.
struct Demo {
    child: Child,
    directory: PathBuf,
    programs: PathBuf,
    url: String,
    /// The link that logs one browser in.
    link: String,
}

impl Demo {
    async fn start() -> Self {
        let programs = programs::build().await.unwrap();
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let mut command = Command::new(cargo);
        command.arg("run").current_dir(root());
        if !cfg!(debug_assertions) {
            command.arg("--release");
        }
        programs::forget_cargo(&mut command);
        let mut child = command
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
        let (mut directory, mut url, mut link) = (None, None, None);
        while url.is_none() {
            let line = tokio::time::timeout(Duration::from_secs(300), out.next_line()).await;
            let line = line.expect("the demo goes on").unwrap();
            let line = line.expect("the demo has not ended");
            if let Some(context) = line.trim().strip_prefix("export FLOTILLA_CONFIG=") {
                directory = context
                    .strip_suffix("/hub/operator/admin.yaml")
                    .map(PathBuf::from);
            }
            let browser = line.split("in a browser: ").nth(1);
            link = link.or(browser.map(str::to_owned));
            url = line.split("; Git is at ").nth(1).map(str::to_owned);
        }
        // Keep reading: the demo prints the fleet for as long as it runs, and must not block on a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = out.next_line().await {} });
        Self {
            child,
            directory: directory.expect("it prints the context"),
            programs,
            url: url.unwrap(),
            link: link.unwrap(),
        }
    }

    fn interrupt(&self) {
        if let Some(pid) = self.child.id() {
            let pid = pid.to_string();
            let _ = std::process::Command::new("kill")
                .args(["-INT", &pid])
                .status();
        }
    }

    /// Ctrl-C.
    async fn end(&mut self) {
        self.interrupt();
        let ended = tokio::time::timeout(Duration::from_secs(60), self.child.wait()).await;
        assert!(ended.expect("it ends").unwrap().success());
        assert!(!self.directory.exists(), "it leaves nothing behind");
    }
}

impl Drop for Demo {
    /// Ends its hub and agents even if a test failed.
    #[allow(
        clippy::disallowed_methods,
        reason = "the test is over, and nothing else runs on this thread"
    )]
    fn drop(&mut self) {
        self.interrupt();
        for _ in 0..100 {
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Creates the files that the pages refer to.
const FILES: [(&str, &str); 9] = [
    (
        "overlays/prod/kustomization.yaml",
        "resources: [map.yaml]\n",
    ),
    (
        "overlays/prod/map.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n",
    ),
    (
        "charts/base/Chart.yaml",
        "apiVersion: v2\nname: base\nversion: 1.0.0\n",
    ),
    ("charts/base/values.yaml", "{}\n"),
    (
        "charts/shop/Chart.yaml",
        "apiVersion: v2\nname: shop\nversion: 1.0.0\n\
         dependencies: [{name: base, version: 1.0.0, repository: 'file://../base'}]\n",
    ),
    ("charts/shop/values.yaml", "image: {tag: '1'}\n"),
    ("charts/shop/values-prod.yaml", "replicas: 3\n"),
    (
        "charts/shop/templates/map.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\n\
         data: {tag: {{ .Values.image.tag | quote }}}\n",
    ),
    ("token", "a-token-of-nobody\n"),
];

/// The reader beside the demo: a clone with those files, the first operator's context, and a hub directory of its own.
async fn reader(demo: &Demo, home: &std::path::Path) -> Reader {
    let mut reader = Reader::new(&demo.programs, home);
    let own = home.join("var/lib/flotilla").display().to_string();
    let hub = free_address().unwrap();
    reader.means("https://git.example.org/platform/fleet.git", &demo.url);
    reader.means("hub.example.org:8443", &hub);
    reader.means("/var/lib/flotilla", &own);
    reader.means("/run/secrets", &home.join("run").display().to_string());
    let kubeconfig = demo.directory.join("prod-eu-1.kubeconfig");
    reader.means("prod-eu-1.kubeconfig", &kubeconfig.display().to_string());
    let context = home.join(".config/flotilla/config.yaml");
    std::fs::create_dir_all(context.parent().unwrap()).unwrap();
    std::fs::copy(demo.directory.join("hub/operator/admin.yaml"), &context).unwrap();

    reader.clones(&demo.url);
    let fleet = std::fs::read_to_string(demo.directory.join("fleet.yaml")).unwrap();
    let mut files: Vec<(&str, String)> = vec![("fleet.yaml", fleet)];
    files.extend(FILES.map(|(path, text)| (path, text.to_owned())));
    for (page_name, begins, file) in [
        (
            "notifications",
            "apiVersion: flotilla.dev/v1alpha1\nkind: Notifications",
            "notifications.yaml",
        ),
        (
            "forge",
            "apiVersion: flotilla.dev/v1alpha1\nkind: Forges",
            "forges.yaml",
        ),
    ] {
        let text = page(&format!("deploy/docs/src/how-to/{page_name}.md"));
        files.push((file, block(&text, "yaml", begins)));
    }
    let secret = regex::Regex::new("/run/secrets/([a-z/.]+)").unwrap();
    for (path, text) in files {
        for found in secret.captures_iter(&text) {
            let path = home.join("run").join(&found[1]);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            flotilla_tests::write_private(&path, "https://hooks.example.org/secret\n").unwrap();
        }
        let path = reader.work.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, reader.fill(&text)).unwrap();
    }
    let (code, told) = reader.types("flotilla chart vendor charts/shop").await;
    assert_eq!(code, 0, "{told}");
    let all = ["dev", "stage", "prod", "main"].map(|branch| format!("HEAD:{branch}"));
    commit(&reader, "What the book speaks of", &all);
    change(&reader, "Hello, book");
    commit(&reader, "Greet the book", &["HEAD:feature/x".to_owned()]);
    let (code, told) = reader
        .types("flotilla-hub init --data-dir /var/lib/flotilla")
        .await;
    assert_eq!(code, 0, "{told}");
    reader
}

fn change(reader: &Reader, greeting: &str) {
    let path = reader.work.join("apps/guestbook/config.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("  text:"))
        .unwrap();
    let text = text.replace(line, &format!("  text: {greeting}"));
    std::fs::write(path, text).unwrap();
}

fn commit(reader: &Reader, message: &str, to: &[String]) {
    git(&reader.work, &["add", "-A"]).unwrap();
    git(&reader.work, &["commit", "-q", "-m", message]).unwrap();
    let mut push = vec!["push", "-q", "origin"];
    push.extend(to.iter().map(String::as_str));
    git(&reader.work, &push).unwrap();
    git(&reader.work, &["fetch", "-q"]).unwrap();
}

async fn prod_has_its_head(reader: &Reader) {
    let head = git(&reader.work, &["rev-parse", "--short=7", "origin/prod"]).unwrap();
    eventually("prod has what it was given", LIMIT, async || {
        let (_, told) = reader.types("flotilla rollout show prod").await;
        let line = told.lines().find(|line| line.contains("succeeded"))?;
        line.contains(&head).then_some(())
    })
    .await
    .unwrap();
}

/// Establishes the preconditions of a page.
async fn before(reader: &Reader, page: &str) {
    let lines: &[&str] = match page {
        // A change to commit.
        "deploy/docs/src/tutorials/helm-chart.md" => {
            let path = reader.work.join("charts/shop/values.yaml");
            std::fs::write(path, "image: {tag: '2'}\n").unwrap();
            &[]
        }
        // A good revision to go back to, and a commit to promote.
        "deploy/docs/src/tutorials/pull-requests.md" => {
            prod_has_its_head(reader).await;
            change(reader, "Hello, reader");
            commit(reader, "Greet the reader", &["HEAD:dev".to_owned()]);
            eventually(
                "dev has proven this commit, not the one before it",
                LIMIT,
                async || {
                    let (code, told) = reader.types("flotilla promote stage --dry-run").await;
                    // The exit code is 0 whatever the gates say.
                    let (moves, gates) = told.split_once("GATE")?;
                    let is_open = !["Failed", "Waiting"]
                        .iter()
                        .any(|state| gates.contains(state));
                    (code == 0 && moves.contains("Greet the reader") && is_open).then_some(())
                },
            )
            .await
            .unwrap();
            &[]
        }
        // A cluster that is healthy and current, without a rollout in progress.
        "deploy/docs/src/reference/agent.md" => {
            prod_has_its_head(reader).await;
            &[]
        }
        "deploy/docs/src/how-to/roll-out.md" => &["flotilla promote stage --wait"],
        // Undo the pause and the pin of the previous page.
        "deploy/docs/src/how-to/take-away.md" => {
            &["flotilla resume prod", "flotilla unpin --cluster prod-eu-1"]
        }
        _ => &[],
    };
    for line in lines {
        let (code, told) = reader.types(line).await;
        assert_eq!(code, 0, "before {page}: {line}: {told}");
    }
}

/// Adapts a line: uses the demo's own hub where a running one is needed, and free ports.
fn here(demo: &Demo, line: &str) -> String {
    let live = ["flotilla-hub backup", "flotilla-hub ca"];
    let hub = demo.directory.join("hub").display().to_string();
    match line {
        // The restore goes to a directory that no hub serves, with the same authority.
        line if line.starts_with("flotilla-hub restore") => {
            let other = demo.directory.join("restored");
            std::fs::create_dir_all(&other).unwrap();
            for file in ["ca.crt", "ca.key"] {
                std::fs::copy(demo.directory.join("hub").join(file), other.join(file)).unwrap();
            }
            line.replace("/var/lib/flotilla", &other.display().to_string())
        }
        line if live.iter().any(|begins| line.starts_with(begins)) => {
            line.replace("/var/lib/flotilla", &hub)
        }
        line if line.starts_with("flotilla-hub run") => format!("{line} --listen 127.0.0.1:0"),
        line => line.to_owned(),
    }
}

async fn follow(reader: &Reader, demo: &Demo, line: &Line, wrong: &mut Vec<String>) {
    let typed = here(demo, &line.text);
    if follows(&typed) {
        let mut following = reader.begins(&typed);
        let shows = |text: &str| match typed.starts_with("flotilla-hub run") {
            true => text.contains("hub listens on"),
            false => text.contains("prod"),
        };
        following.until(&line.text, shows).await;
        following.end().await;
        return;
    }
    // As the page says: wait until no cluster has a certificate of the old root, then run `--finish`.
    if typed.ends_with("--finish") {
        let status = here(demo, "flotilla-hub ca status --data-dir /var/lib/flotilla");
        eventually("every agent has renewed", LIMIT, async || {
            let (_, told) = reader.types(&status).await;
            told.contains("0 clusters with").then_some(())
        })
        .await
        .unwrap();
    }
    let (code, told) = reader.types(&typed).await;
    if Some(code) != line.exits || told.contains("panicked") {
        let (page, text) = (&line.page, &line.text);
        wrong.push(format!("{page}: {text}: {code}\n{told}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_of_the_book_does_beside_the_demo_what_its_page_says() {
    let mut all = lines();
    let mut demo = Demo::start().await;
    let home = tempfile::tempdir().unwrap();
    let reader = reader(&demo, home.path()).await;
    pictures::take(&demo.link).await;
    let database = Postgres::start().unwrap();
    if let Some(database) = &database {
        let file = home.path().join("run/store-url");
        flotilla_tests::write_private(&file, &database.url()).unwrap();
    }
    let place = |line: &Line| LAST.iter().position(|page| *page == line.page);
    all.sort_by_key(|line| place(line).map_or(0, |place| place + 1));
    let (mut last, mut wrong) = (String::new(), Vec::new());
    for line in all.iter().filter(|line| line.page != TUTORIAL) {
        let needs_database = line.text.contains("--store-url-file");
        if line.exits.is_none() || line.text == START || (needs_database && database.is_none()) {
            continue;
        }
        if line.page != last {
            before(&reader, &line.page).await;
            last.clone_from(&line.page);
        }
        let began = std::time::Instant::now();
        follow(&reader, &demo, line, &mut wrong).await;
        eprintln!("{:>5.1}s {}", began.elapsed().as_secs_f64(), line.text);
    }
    demo.end().await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
