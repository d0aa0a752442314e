//! Implementation of the subcommands.

mod serve;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::CommandFactory as _;
use flotilla_shared::id::OperatorName;
use flotilla_shared::identity::Identity;
use flotilla_shared::words::counted;
use flotilla_shared::{telemetry, tls};
use jiff::Timestamp;
use serde_json::json;

use crate::app;
use crate::args::{Args, Ca, Command, Notify};
use crate::authority::{Authority, Rotation, StragglerPolicy, is_there, write_private};
use crate::notify;
use crate::problems::lines;
use crate::spec::{Spec, can_never_work};
use crate::store::{self, Store};

/// Runs a command to its end.
///
/// # Errors
/// When the command fails; the text is for the operator.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    tls::install_provider();
    telemetry::start(&args.log, args.log_format).map_err(anyhow::Error::msg)?;
    match args.command {
        Command::Init {
            data_dir,
            operator,
            address,
            pod_name,
        } => {
            may_make_authority(&data_dir, pod_name.as_deref())?;
            init(&data_dir, &operator, &address)
        }
        Command::Man { directory } => {
            clap_mangen::generate_to(Args::command(), &directory)
                .with_context(|| directory.display().to_string())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Check {
            file,
            fleet_file,
            against,
            context_file,
            output,
        } => {
            let file = file.or(fleet_file).unwrap_or_default();
            let Some(spec) = checked(&file)? else {
                return Ok(ExitCode::from(2));
            };
            match against {
                Some(hub) => {
                    let context_file = context_file.as_deref();
                    Err(compare(&file, &hub, context_file, output.as_deref()))
                }
                None => {
                    say(&summary(&file, &spec))?;
                    Ok(ExitCode::SUCCESS)
                }
            }
        }
        Command::Run(run) => serve::serve(*run).await,
        Command::Notify(Notify::Test {
            target,
            notifications_file,
        }) => {
            let read = notify::read(&notifications_file)?;
            notify::test(&read.0, &target).await?;
            say(&format!("sent a test to {target}, and its resolution"))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Ca(ca) => authority(ca).await,
        Command::Backup { data_dir, to } => {
            store::backup(&data_dir, &to).await?;
            say(&format!("wrote {}", to.display()))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Restore { data_dir, from } => restore(&data_dir, &from).await,
        Command::RaiseEpoch {
            data_dir,
            store_url_file,
            reason,
        } => {
            let (data_dir, file) = (data_dir.as_deref(), store_url_file.as_deref());
            raise_epoch(data_dir, file, &reason).await
        }
    }
}

/// Replaces the store with a backup, and reports the result.
async fn restore(data_dir: &Path, from: &Path) -> anyhow::Result<ExitCode> {
    let epoch = store::restore(data_dir, from, Timestamp::now()).await?;
    say(&format!(
        "restored {}; the epoch is now {epoch}. The previous store is kept as \
         hub.db.before-restore. Start the hub: each cluster keeps what it runs until a rollout, \
         a push or an operator decides",
        from.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Raises the epoch of a store; PostgreSQL, where both are given.
async fn raise_epoch(
    data_dir: Option<&Path>,
    store_url_file: Option<&Path>,
    reason: &str,
) -> anyhow::Result<ExitCode> {
    let now = Timestamp::now();
    let (epoch, then) = match (data_dir, store_url_file) {
        (_, Some(file)) => {
            let store = Store::connect(&secret(file)?).await?;
            let epoch = store.raise_epoch(reason, now).await?;
            store.close().await;
            (
                epoch,
                "the replica that decides stops within seconds, and the next one starts with it",
            )
        }
        (Some(directory), None) => (
            // A running hub holds the store's lock: the error names it, and nothing changes.
            store::raise_epoch(directory, reason, now)
                .await
                .context("stop the hub first, then raise its epoch, then start it")?,
            "start the hub",
        ),
        (None, None) => anyhow::bail!("give --data-dir or --store-url-file"),
    };
    say(&format!(
        "the epoch is now {epoch}: {then}. Each cluster keeps what it runs until a rollout, a \
         push or an operator decides"
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Largest file with a secret, bytes.
const MAX_SECRET: u64 = 64 << 10;

/// Reads a file with a secret, without the end of the line. A file that others can read is refused, unless a group of
/// its owner's choosing may read it (E15).
fn secret(path: &Path) -> anyhow::Result<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let of = || format!("{}", path.display());
    let metadata = std::fs::metadata(path).with_context(of)?;
    anyhow::ensure!(
        metadata.permissions().mode() & 0o007 == 0,
        "{0} is readable by everyone: run `chmod o-rwx {0}`",
        path.display()
    );
    anyhow::ensure!(
        metadata.len() <= MAX_SECRET,
        "{} is too large",
        path.display()
    );
    let text = std::fs::read_to_string(path).with_context(of)?;
    let text = text.trim_end_matches(['\r', '\n']).to_owned();
    anyhow::ensure!(!text.is_empty(), "{} is empty", path.display());
    Ok(text)
}

fn say(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Checks whether this pod may create an authority: two authorities in one StatefulSet are two hubs behind one address,
/// each of which refuses the other's agents and operators.
fn may_make_authority(data_dir: &Path, pod: Option<&str>) -> anyhow::Result<()> {
    let Some(pod) = pod else {
        return Ok(());
    };
    if is_there(&data_dir.join("ca.crt"))? {
        return Ok(());
    }
    anyhow::ensure!(
        pod.rsplit('-').next() == Some("0"),
        "{pod} is not the first pod and has no authority: it must not create its own. A hub on \
         SQLite has one replica. For several, keep the store in PostgreSQL (--store-url-file) \
         and give every pod the first pod's ca.crt and ca.key in {}",
        data_dir.display()
    );
    Ok(())
}

fn init(data_dir: &Path, operator: &OperatorName, address: &str) -> anyhow::Result<ExitCode> {
    let now = Timestamp::now();
    let authority = Authority::init(data_dir, now)?;
    let path = data_dir.join("operator").join(format!("{operator}.yaml"));
    if is_there(&path)? {
        let path = path.display();
        say(&format!(
            "{path} already exists and is kept, with its hub address; to create it again for \
             {address}, remove it first"
        ))?;
        return Ok(ExitCode::SUCCESS);
    }
    let identity = authority.operator(&Identity::Operator(operator.clone()), now)?;
    let context = json!({
        "apiVersion": "flotilla.dev/v1alpha1",
        "kind": "Context",
        "hub": address,
        "trustBundle": authority.trust_bundle(),
        "certificate": identity.chain_pem,
        "key": identity.key_pem,
    });
    write_private(&path, &flotilla_yaml::to_string(&context))?;
    say(&format!("created {}", path.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Returns clusters whose newest certificate is not from the present authority.
async fn behind(
    data_dir: &Path,
    url: Option<&Path>,
    authority: &Authority,
) -> anyhow::Result<Vec<String>> {
    let issuers = match url {
        Some(file) => {
            let store = Store::connect(&secret(file)?).await?;
            let issuers = store.issuers().await?;
            store.close().await;
            issuers
        }
        None => store::issuers(data_dir).await?,
    };
    let present = authority.fingerprint();
    Ok(issuers
        .into_iter()
        .filter(|(_, issuer)| issuer != present)
        .map(|(name, _)| name)
        .collect())
}

async fn authority(ca: Ca) -> anyhow::Result<ExitCode> {
    match ca {
        Ca::Rotate {
            data_dir,
            finish,
            force,
            store_url_file,
        } => {
            let rotation = Rotation(&data_dir);
            if finish {
                let authority = Authority::open(&data_dir)?;
                let behind = behind(&data_dir, store_url_file.as_deref(), &authority).await?;
                let left = match force {
                    true => StragglerPolicy::Allowed,
                    false => StragglerPolicy::Refused,
                };
                rotation.finish(&behind, left)?;
                say("the old root is no longer trusted")?;
            } else {
                rotation.begin(Timestamp::now())?;
                say(
                    "the next root signs from now on; connected clusters renew automatically, \
                     operators run `flotilla context renew`. Then: flotilla-hub ca rotate \
                     --finish",
                )?;
            }
        }
        Ca::Adopt {
            data_dir,
            store_url_file,
        } => {
            let roots = Authority::open(&data_dir)?.roots()?;
            let store = match store_url_file.as_deref() {
                Some(file) => Store::connect(&secret(file)?).await?,
                None => Store::open(&data_dir).await?,
            };
            let adopted = store.adopt_authority(&roots, Timestamp::now()).await;
            store.close().await;
            adopted?;
            say("the store now belongs to this authority; agents have to enrol again")?;
        }
        Ca::Status {
            data_dir,
            store_url_file,
        } => {
            let authority = Authority::open(&data_dir)?;
            let behind = behind(&data_dir, store_url_file.as_deref(), &authority).await?;
            let state = if Rotation(&data_dir).has_begun()? {
                "is being rotated; both roots are trusted"
            } else {
                "one root is trusted"
            };
            say(&format!("authority {}: {state}", authority.fingerprint()))?;
            say(&format!(
                "{} with a certificate of another root",
                counted(behind.len(), "cluster")
            ))?;
            for name in behind {
                say(&name)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Executes the operator's command line, which has contexts and queries hubs: the program next to this one, or else the
/// one in `PATH`. Returns only when it cannot be started.
fn compare(
    file: &Path,
    hub: &str,
    context_file: Option<&Path>,
    output: Option<&str>,
) -> anyhow::Error {
    use std::os::unix::process::CommandExt as _;
    let beside = std::env::current_exe().ok();
    let beside = beside.and_then(|program| Some(program.parent()?.join("flotilla")));
    let program = beside
        .filter(|program| program.is_file())
        .unwrap_or_else(|| PathBuf::from("flotilla"));
    let mut command = std::process::Command::new(program);
    if let Some(context_file) = context_file {
        command.arg("--context-file").arg(context_file);
    }
    command.args(["--context", hub, "check", "--fleet-file"]);
    command.arg(file);
    command.args(output.iter().flat_map(|output| ["--output", output]));
    let error = command.exec();
    anyhow::anyhow!(
        "cannot start flotilla, which queries the hub: {error}; install it next to this program \
         or in PATH, or run flotilla check --fleet-file {} where it is installed",
        file.display()
    )
}

/// Reads a fleet file that can work; none: its errors were printed.
fn checked(file: &Path) -> anyhow::Result<Option<Spec>> {
    let spec = match app::read_fleet_file(file) {
        Ok((spec, _)) => spec,
        Err(errors) => {
            writeln!(std::io::stderr(), "{errors}")?;
            return Ok(None);
        }
    };
    let never = can_never_work(&spec);
    for (place, wrong) in &never {
        writeln!(std::io::stderr(), "{}: {place}: {wrong}", file.display())?;
    }
    Ok(never.is_empty().then_some(spec))
}

/// Summarises a fleet file in one line.
fn summary(file: &Path, spec: &Spec) -> String {
    format!(
        "{}: {}, {}, {}, {}",
        file.display(),
        counted(spec.repositories.len(), "repository"),
        counted(spec.environments.len(), "environment"),
        counted(spec.applications.len(), "application"),
        counted(spec.clusters.len(), "cluster")
    )
}

/// Reads the forge file.
fn forges(path: &Path) -> anyhow::Result<crate::forge::config::Forges> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| name.clone())?;
    crate::forge::config::parse(&name, &text)
        .map_err(|problems| anyhow::Error::msg(lines(&problems)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_pod_of_a_set_makes_an_authority() {
        let directory = tempfile::tempdir().unwrap();
        let may = |pod: Option<&str>| may_make_authority(directory.path(), pod).is_ok();
        assert!(may(None) && may(Some("flotilla-hub-0")));
        assert!(!may(Some("flotilla-hub-1")) && !may(Some("flotilla-hub-10")));
        // A pod that was given the same authority only creates the missing files beside it.
        std::fs::write(directory.path().join("ca.crt"), "given").unwrap();
        assert!(may(Some("flotilla-hub-1")));
    }
}
