//! `operator`.

use flotilla_proto::v1;
use flotilla_status::Operator;
use jiff::Timestamp;

use super::names;
use crate::args::OperatorCommand;
use crate::client::Client;
use crate::error::Error;
use crate::printer::Printer;
use crate::render;

pub(super) async fn run(
    client: &Client,
    hub: &str,
    command: OperatorCommand,
    printer: &Printer,
) -> Result<(), Error> {
    match command {
        OperatorCommand::List { output } => {
            let request = client.request(v1::ListOperatorsRequest {});
            let wire = client.api().list_operators(request).await?.into_inner();
            let operators: Vec<Operator> = wire.operators.iter().map(Operator::from).collect();
            if output.output.is_structured() {
                return printer.value(output.output, &operators);
            }
            printer.out(&render::operators(
                &operators,
                printer.paint,
                Timestamp::now(),
            ))
        }
        OperatorCommand::Remove { name, reason } => {
            let request = client.request(v1::RemoveOperatorRequest {
                name: name.to_string(),
                reason: reason.unwrap_or_default(),
            });
            client.api().remove_operator(request).await?;
            printer.say(&format!("operator {name} was removed"));
            Ok(())
        }
        OperatorCommand::Set {
            name,
            role,
            environments,
            write_context,
        } => {
            // Checked before the grant: a certificate that cannot be written would be lost.
            if let Some(path) = &write_context
                && path.try_exists().map_err(|cause| Error::File {
                    path: path.clone(),
                    cause,
                })?
            {
                return Err(Error::refused(
                    format!("{} already exists", path.display()),
                    "name a new file",
                ));
            }
            // The key is made here and is stored only in the file.
            let made = match &write_context {
                Some(path) => Some((path.clone(), request_key()?)),
                None => None,
            };
            let csr = made.as_ref().map(|(_, (_, csr))| csr.clone());
            let request = client.request(v1::SetOperatorRequest {
                name: name.to_string(),
                role: role.0.as_str().to_owned(),
                environments: names(&environments),
                csr: csr.unwrap_or_default(),
            });
            let answer = client.api().set_operator(request).await?.into_inner();
            let place = match environments.as_slice() {
                [] => String::new(),
                some => format!(" in {}", names(some).join(", ")),
            };
            printer.say(&format!("{name} is {}{place}", role.0.as_str()));
            if let Some((path, (key, _))) = made {
                let context = serde_json::json!({
                    "apiVersion": "flotilla.dev/v1alpha1",
                    "kind": "Context",
                    "hub": hub,
                    "trustBundle": answer.trust_bundle,
                    "certificate": answer.certificate_chain,
                    "key": key,
                });
                let text = flotilla_yaml::to_string(&context);
                flotilla_disk::create(&path, text.as_bytes()).map_err(|cause| Error::File {
                    path: path.clone(),
                    cause,
                })?;
                printer.say(&format!("wrote {}", path.display()));
            }
            Ok(())
        }
    }
}

/// Makes a new key, PEM, and a certificate request for it, DER.
pub(super) fn request_key() -> Result<(String, Vec<u8>), Error> {
    let failed = |error: rcgen::Error| Error::Local(std::io::Error::other(error));
    let key = rcgen::KeyPair::generate().map_err(failed)?;
    let csr = rcgen::CertificateParams::default()
        .serialize_request(&key)
        .map_err(failed)?;
    Ok((key.serialize_pem(), csr.der().to_vec()))
}
