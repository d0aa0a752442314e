//! `login` and `context`: which hubs, and as whom.

use std::path::{Path, PathBuf};
use std::time::Duration;

use flotilla_proto::v1;
use flotilla_proto::v1::login_service_client::LoginServiceClient;

use super::operator::request_key;
use crate::args::{ContextCommand, LoginArgs, Output};
use crate::client::{Client, channel};
use crate::context::{Context, Contexts};
use crate::error::Error;
use crate::oidc;
use crate::printed::ShownContext;
use crate::printer::Printer;
use crate::render::{Cell, Table};

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|cause| Error::File {
        path: path.to_owned(),
        cause,
    })
}

/// Logs a person in, and stores the tokens.
pub(super) async fn login(
    file: Option<&Path>,
    args: LoginArgs,
    timeout: Duration,
    printer: &Printer,
) -> Result<(), Error> {
    let mut contexts = Contexts::load_or_new(file)?;
    let known = contexts.all.iter().find(|context| match &args.hub {
        Some(hub) => context.hub == *hub,
        None => args.name.as_ref().is_none_or(|name| context.name == *name),
    });
    let (hub, trust_bundle) = match (&args.hub, &args.trust_bundle, known) {
        (Some(hub), Some(path), _) => (hub.clone(), read(path)?),
        (_, None, Some(known)) => (known.hub.clone(), known.trust_bundle.clone()),
        _ => {
            return Err(Error::refused(
                "the hub's address and trust bundle are not known",
                "give HOST:PORT and --trust-bundle FILE; the hub's administrators have that file",
            ));
        }
    };
    let name = match (&args.name, known) {
        (Some(name), _) => name.clone(),
        (None, Some(known)) => known.name.clone(),
        (None, None) => hub.split(['.', ':']).next().unwrap_or_default().to_owned(),
    };
    let channel = channel(&hub, &trust_bundle, None).await?;
    let mut request = tonic::Request::new(v1::GetLoginRequest {});
    request.set_timeout(timeout);
    let asked = LoginServiceClient::new(channel).get_login(request).await?;
    let way = asked.into_inner();
    if way.issuer.is_empty() {
        return Err(Error::refused(
            "this hub has no logins: its operators use certificates",
            "ask an admin for a file made by flotilla operator set NAME --role ROLE \
             --write-context FILE, and import it with flotilla context import FILE",
        ));
    }
    let roots = args.issuer_trust_bundle.as_deref().map(read).transpose()?;
    let client = oidc::Client::new(roots.as_deref())?;
    let issuer = client.discover(&way.issuer).await?;
    let device = client.begin(&issuer, &way.client_id, &way.scopes).await?;
    let plain = |text: &str| flotilla_shared::report::plain_line(text, 500);
    match &device.verification_uri_complete {
        Some(place) => printer.say(&format!(
            "open {} and check that it shows {}",
            plain(place),
            plain(&device.user_code)
        )),
        None => printer.say(&format!(
            "open {} and enter {}",
            plain(&device.verification_uri),
            plain(&device.user_code)
        )),
    }
    let mut login = client.finish(&issuer, &way.client_id, &device).await?;
    login.issuer_trust_bundle = roots.unwrap_or_default();
    let context = Context {
        name: name.clone(),
        hub,
        trust_bundle,
        certificate: String::new(),
        key: String::new(),
        login: Some(login),
    };
    // Checks that the hub accepts the token before it is stored.
    let hub = Client::connect(&context, timeout).await?;
    let request = hub.request(v1::GetHubRequest {});
    let answer = hub.api().get_hub(request).await.map_err(Error::from);
    let who = match answer {
        Ok(answer) => answer.into_inner().operator,
        // The usual hint is to log in, which has just been done.
        Err(Error::Hub {
            code: tonic::Code::Unauthenticated,
            message,
        }) => {
            return Err(Error::refused(
                format!(
                    "the login at {} succeeded, but the hub rejected it: {message}",
                    way.issuer
                ),
                "the hub's log says why, and which issuer, client and claims it accepts",
            ));
        }
        Err(other) => return Err(other),
    };
    contexts.put(context);
    contexts.current.clone_from(&name);
    contexts.save()?;
    printer.say(&format!("you are {} at {name}", plain(&who)));
    Ok(())
}

/// Prints the contexts of a file, and marks the current one.
fn list(
    file: Option<&Path>,
    named: Option<&str>,
    output: Output,
    printer: &Printer,
) -> Result<(), Error> {
    let contexts = Contexts::load_or_new(file)?;
    let chosen = contexts
        .choose(named)
        .ok()
        .map(|context| context.name.clone());
    let shown: Vec<ShownContext<'_>> = contexts
        .all
        .iter()
        .map(|context| ShownContext {
            name: &context.name,
            hub: &context.hub,
            current: chosen.as_deref() == Some(context.name.as_str()),
            by: if context.login.is_some() {
                "login"
            } else {
                "certificate"
            },
        })
        .collect();
    if output.is_structured() {
        return printer.value(output, &shown);
    }
    if shown.is_empty() {
        return printer.out(
            "no contexts; `flotilla login` creates one, `flotilla context import FILE` imports \
             one\n",
        );
    }
    let mut table = Table::new(["", "NAME", "HUB", "BY"]);
    for context in &shown {
        let mark = if context.current { "*" } else { "" };
        table.row([mark, context.name, context.hub, context.by].map(Cell::from));
    }
    printer.out(&table.render(printer.paint))
}

pub(super) async fn run(
    file: Option<PathBuf>,
    named: Option<&str>,
    command: ContextCommand,
    timeout: Duration,
    printer: &Printer,
) -> Result<(), Error> {
    match command {
        ContextCommand::List { output } => list(file.as_deref(), named, output.output, printer),
        ContextCommand::Use { name } => {
            let mut contexts = Contexts::load(file.as_deref())?;
            contexts.choose(Some(&name))?;
            contexts.current.clone_from(&name);
            contexts.save()?;
            printer.say(&format!("switched to context {name}"));
            Ok(())
        }
        ContextCommand::Remove { name } => {
            let mut contexts = Contexts::load(file.as_deref())?;
            contexts.choose(Some(&name))?;
            contexts.all.retain(|context| context.name != name);
            if contexts.current == name {
                contexts.current.clear();
            }
            contexts.save()?;
            printer.say(&format!("removed context {name}"));
            Ok(())
        }
        ContextCommand::Import { from, name } => {
            let other = Contexts::load(Some(&from))?;
            let mut context = other.choose(None)?.clone();
            if let Some(name) = name {
                context.name = name;
            }
            let mut contexts = Contexts::load_or_new(file.as_deref())?;
            let name = context.name.clone();
            contexts.put(context);
            if contexts.current.is_empty() {
                contexts.current.clone_from(&name);
            }
            contexts.save()?;
            printer.say(&format!("imported context {name}"));
            Ok(())
        }
        ContextCommand::Renew => {
            let mut contexts = Contexts::load(file.as_deref())?;
            let mut context = contexts.choose(named)?.clone();
            if context.login.is_some() {
                return Err(Error::refused(
                    "this context has a login, not a certificate to renew",
                    "run flotilla login again",
                ));
            }
            let (key, csr) = request_key()?;
            let client = Client::connect(&context, timeout).await?;
            let request = client.request(v1::RenewOperatorRequest { csr });
            let answer = client.api().renew_operator(request).await?.into_inner();
            // The bundle comes over a connection that the old roots authenticate. Unlike an agent's bundle, the file
            // has a person who can repair it.
            context.certificate = answer.certificate_chain;
            context.trust_bundle = answer.trust_bundle;
            context.key = key;
            let name = context.name.clone();
            contexts.put(context);
            contexts.save()?;
            let until = flotilla_status::moment(answer.expires_at.as_ref());
            let until = until.map_or(String::new(), |end| {
                end.strftime(" until %Y-%m-%dT%H:%M:%SZ").to_string()
            });
            printer.say(&format!("renewed the certificate of {name}{until}"));
            Ok(())
        }
    }
}
