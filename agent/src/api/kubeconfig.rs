//! A kubeconfig file, read with the same YAML reader as everything else: bounded, with errors that name a
//! line, and without a second YAML library in the program. `kube` interprets it.

use std::path::Path;

use anyhow::Context as _;
use kube::config::Kubeconfig;

/// Reads a file; relative paths in it are resolved from its directory, as in kubectl.
pub(super) fn read(path: &Path) -> anyhow::Result<Kubeconfig> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| name.clone())?;
    let lists = ["clusters", "contexts", "users"];
    let read = flotilla_yaml::config::mapping::<Kubeconfig>(&name, &text, &lists);
    let mut config = read.context("this is not a kubeconfig")?.value;
    anchor(&mut config, path.parent().unwrap_or(Path::new("")));
    Ok(config)
}

/// Makes relative paths absolute.
fn anchor(config: &mut Kubeconfig, directory: &Path) {
    let anchor = |path: &mut Option<String>| {
        if let Some(text) = path
            && Path::new(text).is_relative()
            && let Some(whole) = directory.join(&*text).to_str()
        {
            whole.clone_into(text);
        }
    };
    for cluster in config
        .clusters
        .iter_mut()
        .flat_map(|entry| &mut entry.cluster)
    {
        anchor(&mut cluster.certificate_authority);
    }
    for user in config
        .auth_infos
        .iter_mut()
        .flat_map(|entry| &mut entry.auth_info)
    {
        anchor(&mut user.client_certificate);
        anchor(&mut user.client_key);
        anchor(&mut user.token_file);
        // A bare command name is looked up in PATH.
        if let Some(exec) = &mut user.exec
            && exec.command.as_ref().is_some_and(|name| name.contains('/'))
        {
            anchor(&mut exec.command);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use kube::config::Kubeconfig;

    use super::read;

    const TEXT: &str = "apiVersion: v1
kind: Config
current-context: two
preferences: {}
clusters:
- {name: one, cluster: {server: 'https://127.0.0.1:6443', certificate-authority: ca.crt}}
- name: two
  cluster:
    server: https://[::1]:6443
    certificate-authority-data: YQ==
    tls-server-name: here
contexts:
- {name: two, context: {cluster: two, user: plugin, namespace: web}}
users:
- name: plugin
  user:
    exec: {apiVersion: client.authentication.k8s.io/v1, command: bin/plugin, args: [a], env: [{name: A, value: b}], interactiveMode: Never}
- {name: path, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: aws}}}
- {name: files, user: {client-certificate: tls.crt, client-key: /k/tls.key, tokenFile: token}}
- {name: words, user: {username: a, password: '007', token: t}}
- {name: nobody}
";

    /// As kube itself reads it.
    #[test]
    fn it_is_what_kube_reads() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config");
        std::fs::write(&file, TEXT).unwrap();
        let json = |config: &Kubeconfig| serde_json::to_value(config).unwrap();
        let (ours, theirs) = (read(&file).unwrap(), Kubeconfig::read_from(&file).unwrap());
        assert_eq!(json(&ours), json(&theirs));
        assert_eq!(ours.clusters.len(), 2);
        let plugin = ours.auth_infos[0].auth_info.as_ref().unwrap();
        let command = plugin.exec.as_ref().unwrap().command.clone().unwrap();
        assert!(Path::new(&command).is_absolute(), "{command}");
    }

    #[test]
    fn what_is_wrong_is_said_without_a_word_of_ours() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config");
        for (text, expected) in [
            ("clusters: {a: b}", "config:1:"),
            ("a: [", "config:1:"),
            ("- a", "this is a list"),
            ("users:\n- {name: a, user: [1]}", "config:2:"),
            ("contexts:\n- name: 7\n", "contexts[0].name"),
        ] {
            std::fs::write(&file, text).unwrap();
            let error = format!("{:#}", read(&file).unwrap_err());
            assert!(error.contains(expected), "{expected}: {error}");
            assert!(
                !error.contains("Kubeconfig") && !error.contains("struct"),
                "{error}"
            );
        }
        // As kubectl leaves the file once all its entries have been deleted.
        std::fs::write(
            &file,
            "apiVersion: v1\nclusters: null\ncontexts: null\nusers: null\n",
        )
        .unwrap();
        assert!(read(&file).unwrap().clusters.is_empty());
        let missing = read(Path::new("/nowhere/config")).unwrap_err();
        assert!(format!("{missing:#}").contains("/nowhere/config"));
    }
}
