//! `flotilla chart`: the binary compared with the official Helm, and against all kinds of servers.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::repository::{Reply, Server, Workshop, archive, everything, honest, one_chart};
use crate::schema;

/// A password that must not appear in any output.
pub(crate) const PASSWORD: &str = "s3cr3t-of-the-user";

/// A lock without its time.
fn timeless(lock: &str) -> String {
    let lines = lock.lines().filter(|line| !line.starts_with("generated:"));
    lines.map(|line| format!("{line}\n")).collect()
}

fn run(mut command: std::process::Command) -> Vec<u8> {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    output.stdout
}

fn copy(from: &Path, to: &Path) {
    for (name, bytes) in everything(from) {
        let path = to.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

fn helm() -> Option<std::path::PathBuf> {
    flotilla_needs::program("helm", Some("FLOTILLA_HELM"), &["helm"])
}

#[test]
fn locks_and_archives_are_those_of_helm() {
    let Some(helm) = helm() else { return };
    let server = honest(&[
        ("web", "1.2.0"),
        ("web", "1.10.0"),
        ("web", "1.11.0-rc.1"),
        ("web", "2.0.0"),
        ("api", "v3.1.4"),
        ("api", "3.1.3"),
        ("job", "0.1.0+b7"),
    ]);
    let url = format!("{}/charts", server.url());
    let workshop = Workshop::new(&format!(
        "[{{name: web, version: '>=1.0 <2', repository: '{url}', condition: web.enabled, tags: [front, 'a&b']}}, \
         {{name: web, alias: second, version: ~1.2, repository: '{url}/'}}, \
         {{name: api, version: 3.x.x, repository: '{url}', import-values: [data, {{child: a, parent: b}}]}}, \
         {{name: job, version: '*', repository: '@team'}}, \
         {{name: common, version: ^0.1.0, repository: 'file://../common'}}, \
         {{name: own, version: 1.x, repository: ''}}]"
    ));
    workshop.add_repository("team", &url, PASSWORD);
    for (folder, version) in [("common", "0.1.7"), ("shop/charts/own", "1.0.0")] {
        let name = folder.rsplit('/').next().unwrap();
        workshop.write(
            &format!("{folder}/Chart.yaml"),
            &format!("apiVersion: v2\nname: {name}\nversion: {version}\n"),
        );
        workshop.write(
            &format!("{folder}/templates/x.yaml"),
            &format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n"),
        );
    }
    workshop.write(
        "shop/templates/own.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop}\n",
    );
    // An archive that both have to remove, and a file that both leave alone.
    std::fs::write(
        workshop.path("shop/charts/old-1.0.0.tgz"),
        archive("old", "1.0.0"),
    )
    .unwrap();
    workshop.write("shop/charts/.keep", "");
    copy(&workshop.path("shop"), &workshop.path("theirs"));

    let mut update = workshop.command(&helm);
    update.args(["dependency", "update", "theirs"]);
    run(update);
    let vendored = workshop.vendored(&[]);

    assert_eq!(
        timeless(&workshop.read("shop/Chart.lock")),
        timeless(&workshop.read("theirs/Chart.lock"))
    );
    assert_eq!(workshop.charts("shop"), workshop.charts("theirs"));
    let theirs = everything(&workshop.path("theirs/charts"));
    for (name, bytes) in everything(&workshop.path("shop/charts")) {
        // Archives that are packed from folders differ, since vendored ones have no times.
        if !name.starts_with("common-") {
            assert_eq!(bytes, theirs[&name], "{name}");
        }
    }
    assert_eq!(vendored["removed"], serde_json::json!(["old-1.0.0.tgz"]));
    assert_eq!(vendored["lock"], "written");
    let template = |chart: &str| {
        let mut template = workshop.command(&helm);
        template.args(["template", "r", chart]);
        run(template)
    };
    assert_eq!(template("shop"), template("theirs"));

    // Each accepts the other's lock as its own.
    let mut build = workshop.command(&helm);
    build.args(["dependency", "build", "shop", "--skip-refresh"]);
    run(build);
    let lock = workshop.read("theirs/Chart.lock");
    let output = workshop.chart(&["vendor", "theirs", "--locked"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(workshop.read("theirs/Chart.lock"), lock);
}

#[test]
fn a_chart_of_version_one_has_the_older_lock() {
    let Some(helm) = helm() else { return };
    let server = honest(&[("web", "1.2.0")]);
    let workshop = Workshop::new("[]");
    workshop.write(
        "shop/Chart.yaml",
        "apiVersion: v1\nname: shop\nversion: 0.1.0\n",
    );
    workshop.write(
        "shop/requirements.yaml",
        &format!(
            "dependencies: [{{name: web, version: ^1.0.0, repository: '{}/charts'}}]\n",
            server.url()
        ),
    );
    copy(&workshop.path("shop"), &workshop.path("theirs"));
    let mut update = workshop.command(&helm);
    update.args(["dependency", "update", "theirs"]);
    run(update);
    workshop.vendored(&[]);
    assert_eq!(
        timeless(&workshop.read("shop/requirements.lock")),
        timeless(&workshop.read("theirs/requirements.lock"))
    );
    assert!(!workshop.path("shop/Chart.lock").exists());
}

#[test]
fn a_lock_is_followed_until_something_newer_is_asked_for() {
    let server = honest(&[("web", "1.2.0"), ("web", "1.10.0"), ("web", "2.0.0")]);
    let chart = |range: &str| {
        format!(
            "apiVersion: v2\nname: shop\nversion: 0.1.0\ndependencies: [{{name: web, version: {range}, \
             repository: '{}/charts'}}]\n",
            server.url()
        )
    };
    let workshop = Workshop::new("[]");
    let none = workshop.vendored(&[]);
    assert_eq!(none["lock"], "none");

    workshop.write("shop/Chart.yaml", &chart("1.2.x"));
    let errors = workshop.refused(&["vendor", "shop", "--locked"]);
    assert!(errors.contains("there is no Chart.lock"), "{errors}");
    let output = workshop.chart(&["outdated", "shop"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("not locked"));

    let first = workshop.vendored(&[]);
    assert_eq!(first["dependencies"][0]["version"], "1.2.0");
    assert_eq!(first["dependencies"][0]["change"], "added");
    assert_eq!(
        first["dependencies"][0]["checked"],
        serde_json::json!(["index"])
    );
    let before = everything(&workshop.path("shop"));
    let again = workshop.vendored(&[]);
    assert_eq!(again["dependencies"][0]["change"], "unchanged");
    assert_eq!(again["lock"], "unchanged");
    assert_eq!(
        everything(&workshop.path("shop")),
        before,
        "not even its time"
    );

    let outdated = |code: i32| {
        let output = workshop.chart(&["outdated", "shop", "-o", "json"]);
        assert_eq!(output.status.code(), Some(code));
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        schema::hold("chartOutdated", &value);
        value["dependencies"][0].clone()
    };
    let beyond = outdated(1);
    assert_eq!(beyond["standing"], "beyond");
    assert_eq!(beyond["newest"], "2.0.0");

    // The lock no longer matches the chart.
    workshop.write("shop/Chart.yaml", &chart("^1.2.0"));
    let errors = workshop.refused(&["vendor", "shop", "--locked"]);
    assert!(errors.contains("Chart.lock is out of sync"), "{errors}");
    assert_eq!(outdated(1)["standing"], "update");
    let newer = workshop.vendored(&[]);
    assert_eq!(newer["dependencies"][0]["version"], "1.10.0");
    assert_eq!(newer["removed"], serde_json::json!(["web-1.2.0.tgz"]));
    assert_eq!(workshop.charts("shop"), ["web-1.10.0.tgz"]);
    workshop.write("shop/Chart.yaml", &chart("'*'"));
    workshop.vendored(&["--update"]);
    assert_eq!(outdated(0)["standing"], "current");
}

/// Debian's registry as a process, which ends with the test.
struct Distribution {
    child: Child,
    _folder: tempfile::TempDir,
}

impl Drop for Distribution {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `ci` with the password, as `htpasswd -B` writes it.
const HTPASSWD: &str = "ci:$2a$10$tKYo9rVi1n5VJg5ab6C2auLWoeAXPTleeeDGwk72Qtqr9tlMkTYSa\n";

#[test]
fn a_real_registry_gives_us_what_it_gives_helm() {
    // Checked first: the registry is of no use without Helm.
    let Some(helm) = helm() else { return };
    let names = ["docker-registry", "registry"];
    let Some(program) = flotilla_needs::program("registry", Some("FLOTILLA_REGISTRY"), &names)
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    std::fs::write(folder.path().join("htpasswd"), HTPASSWD).unwrap();
    let shown = folder.path().display();
    let config = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {shown}/data}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n\
         auth: {{htpasswd: {{realm: here, path: {shown}/htpasswd}}}}\n"
    );
    std::fs::write(folder.path().join("config.yml"), config).unwrap();
    let child = std::process::Command::new(program)
        .arg("serve")
        .arg(folder.path().join("config.yml"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let registry = Distribution {
        child,
        _folder: folder,
    };
    let address = format!("127.0.0.1:{port}");
    let deadline = Instant::now() + Duration::from_secs(60);
    while std::net::TcpStream::connect(&address).is_err() {
        assert!(Instant::now() < deadline, "the registry does not start");
        #[expect(
            clippy::disallowed_methods,
            reason = "a pause between two looks, within a deadline"
        )]
        std::thread::sleep(Duration::from_millis(20));
    }
    let workshop = Workshop::new(&format!(
        "[{{name: web, version: ^1.0.0, repository: 'oci://{address}/team/charts'}}]"
    ));
    workshop.docker_login(&address, PASSWORD);
    for version in ["1.2.0", "1.10.0+b7", "2.0.0"] {
        std::fs::write(workshop.path("web.tgz"), archive("web", version)).unwrap();
        let mut push = workshop.command(&helm);
        push.args([
            "push",
            "web.tgz",
            &format!("oci://{address}/team/charts"),
            "--plain-http",
        ]);
        run(push);
    }
    copy(&workshop.path("shop"), &workshop.path("theirs"));
    let mut update = workshop.command(&helm);
    update.args(["dependency", "update", "theirs", "--plain-http"]);
    run(update);
    workshop.vendored(&["--plain-http"]);
    assert_eq!(
        timeless(&workshop.read("shop/Chart.lock")),
        timeless(&workshop.read("theirs/Chart.lock"))
    );
    assert_eq!(
        everything(&workshop.path("shop/charts")),
        everything(&workshop.path("theirs/charts"))
    );
    workshop.docker_login(&address, "another");
    let errors = workshop.refused(&["vendor", "shop", "--update", "--plain-http"]);
    assert!(
        errors.contains("the registry refuses the login that is kept for it"),
        "{errors}"
    );
    drop(registry);
}

/// Makes keys of two people in files of Helm's format: `team.gpg` with `secret.gpg`, and `other.gpg`.
fn make_keys(workshop: &Workshop, gpg: &Path) {
    let home = workshop.path("gnupg");
    std::fs::create_dir(&home).unwrap();
    std::fs::set_permissions(&home, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let gpg = |arguments: &[&str]| {
        let mut command = workshop.command(gpg);
        command.args(["--batch", "--pinentry-mode", "loopback", "--passphrase", ""]);
        command.args(arguments);
        run(command)
    };
    for name in ["team", "other"] {
        gpg(&[
            "--quick-generate-key",
            &format!("{name}@example.com"),
            "rsa2048",
            "sign",
            "never",
        ]);
        std::fs::write(
            workshop.path(&format!("{name}.gpg")),
            gpg(&["--export", &format!("{name}@")]),
        )
        .unwrap();
    }
    std::fs::write(
        workshop.path("secret.gpg"),
        gpg(&["--export-secret-keys", "team@"]),
    )
    .unwrap();
}

/// A chart that Helm packed and signed with the team's key: its archive and provenance file.
fn package(workshop: &Workshop, helm: &Path) -> (Vec<u8>, Vec<u8>) {
    workshop.write(
        "web/Chart.yaml",
        "apiVersion: v2\nname: web\nversion: 1.0.0\n",
    );
    workshop.write("web/templates/a.yaml", "a: 1\n");
    let mut package = workshop.command(helm);
    package.args([
        "package",
        "web",
        "--sign",
        "--key",
        "team@example.com",
        "--keyring",
        "secret.gpg",
    ]);
    run(package);
    let bytes = std::fs::read(workshop.path("web-1.0.0.tgz")).unwrap();
    let provenance = std::fs::read(workshop.path("web-1.0.0.tgz.prov")).unwrap();
    (bytes, provenance)
}

/// A repository with these files as `web` 1.0.0, on which the shop then depends.
fn serve_web(workshop: &Workshop, bytes: Vec<u8>, provenance: Option<Vec<u8>>) -> Server {
    let server = one_chart("web-1.0.0.tgz", None, move |asked| {
        match asked.path.as_str() {
            "/web-1.0.0.tgz" => Reply::ok(bytes.clone()),
            "/web-1.0.0.tgz.prov" => provenance.clone().map_or(Reply::status(404), Reply::ok),
            _ => Reply::status(404),
        }
    });
    workshop.write(
        "shop/Chart.yaml",
        &format!(
            "apiVersion: v2\nname: shop\nversion: 0.1.0\ndependencies: [{{name: web, version: 1.0.0, \
             repository: '{}'}}]\n",
            server.url()
        ),
    );
    server
}

#[test]
fn provenance_files_of_helm_are_verified() {
    let Some(gpg) = flotilla_needs::program("gpg", None, &["gpg"]) else {
        return;
    };
    let Some(helm) = helm() else { return };
    let workshop = Workshop::new("[]");
    make_keys(&workshop, &gpg);
    let (bytes, provenance) = package(&workshop, &helm);
    let serve = |bytes, provenance| serve_web(&workshop, bytes, provenance);
    // The server runs on threads of the test process, and has no other owner.
    let _server = serve(bytes.clone(), Some(provenance.clone()));
    let vendored = workshop.vendored(&["--keyring", "team.gpg", "--verify"]);
    assert_eq!(
        vendored["dependencies"][0]["checked"],
        serde_json::json!(["provenance"])
    );
    assert_eq!(
        vendored["dependencies"][0]["signedBy"]
            .as_str()
            .unwrap()
            .len(),
        40
    );
    assert_eq!(workshop.charts("shop"), ["web-1.0.0.tgz"]);
    let errors = workshop.refused(&["vendor", "shop", "--keyring", "other.gpg"]);
    assert!(
        errors.contains("which the keyring does not hold"),
        "{errors}"
    );

    let _server = serve(archive("web", "1.0.0"), Some(provenance.clone()));
    let errors = workshop.refused(&["vendor", "shop", "--keyring", "team.gpg"]);
    assert!(errors.contains("it is for other bytes"), "{errors}");
    let text = String::from_utf8(provenance).unwrap();
    let forged = text.replace("web-1.0.0.tgz", "bad-1.0.0.tgz").into_bytes();
    let _server = serve(bytes.clone(), Some(forged));
    let errors = workshop.refused(&["vendor", "shop", "--keyring", "team.gpg"]);
    assert!(errors.contains("does not match its content"), "{errors}");

    let _server = serve(bytes, None);
    let errors = workshop.refused(&["vendor", "shop", "--keyring", "team.gpg", "--verify"]);
    assert!(errors.contains("it has no provenance file"), "{errors}");
    let output = workshop.chart(&["vendor", "shop", "--keyring", "team.gpg"]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("nobody has signed it"));
}
