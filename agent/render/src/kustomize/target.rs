//! One kustomization: its resources, its generators, and its steps
//! (`api/internal/target/kusttarget.go`).

use std::sync::Arc;

use flotilla_shared::reason::Reason;

use super::config::Config;
use super::crds;
use super::failure::{Failure, Outcome};
use super::file::{COMPONENT, Kustomization};
use super::generator::{self, GeneratedKind};
use super::helm;
use super::load;
use super::parse;
use super::provenance::{self, ORIGIN, StepOrigin};
use super::resource::Resource;
use super::resources::Resources;
use super::session::{Directory, Session, Target as Reference};
use super::step::{self, Step};
use super::vars::Vars;
use crate::tree;
use crate::{Origin, RenderError};

/// The result of a kustomization and those below it.
#[derive(Debug, Default)]
pub(crate) struct Accumulation {
    pub(crate) resources: Resources,
    /// Where steps look for fields.
    pub(crate) config: Arc<Config>,
    /// Variables, still to be replaced.
    pub(crate) vars: Vars,
}

impl Accumulation {
    fn absorb(&mut self, other: Self) -> Outcome<()> {
        self.resources.append_all(other.resources)?;
        self.config = Config::merge(&self.config, &other.config)?;
        self.vars.merge(other.vars)
    }
}

/// A kustomization file in its directory.
pub(crate) struct Target<'s, 't> {
    session: &'s Session<'t>,
    directory: Directory,
    pub(crate) file: Kustomization,
    /// The file's name in the directory.
    name: &'static str,
    /// The file's path, for messages.
    pub(crate) path: String,
    /// The directory relative to the one where the render started, if origins are recorded.
    origin: Option<String>,
}

impl<'s, 't> Target<'s, 't> {
    /// Reads the kustomization where a render starts.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn root(
        session: &'s Session<'t>,
        directory: Directory,
    ) -> Result<Self, RenderError> {
        let mut target = Self::read(session, directory)?;
        if !target.file.build_metadata.is_empty() {
            target.origin = Some(String::new());
        }
        target.choose_schema()?;
        Ok(target)
    }

    fn read(session: &'s Session<'t>, directory: Directory) -> Result<Self, RenderError> {
        let here = if directory.path.is_empty() {
            "."
        } else {
            &directory.path
        };
        let (name, text) = session
            .kustomization(&directory)
            .map_err(|error| error.at(here))?;
        let path = tree::join(&directory.path, name);
        let file = Kustomization::read(&path, text).map_err(|error| error.at(&path))?;
        Ok(Self {
            session,
            directory,
            file,
            name,
            path,
            origin: None,
        })
    }

    /// A kustomization that this one refers to.
    fn below(&self, directory: Directory, reference: &str) -> Result<Self, RenderError> {
        let mut target = Self::read(self.session, directory)?;
        target
            .file
            .build_metadata
            .clone_from(&self.file.build_metadata);
        target.origin = self
            .origin
            .as_ref()
            .map(|origin| provenance::join(origin, reference));
        target.choose_schema()?;
        Ok(target)
    }

    fn at<T>(&self, outcome: Outcome<T>) -> Result<T, RenderError> {
        outcome.map_err(|error| error.at(&self.path))
    }

    fn choose_schema(&self) -> Result<(), RenderError> {
        let openapi = &self.file.openapi;
        if let Some(unknown) = openapi
            .keys()
            .find(|key| !["path", "version"].contains(&key.as_str()))
        {
            return self.at(Err(Failure::new(
                Reason::UnknownField,
                format!("openapi: unknown key {unknown:?}; known are path and version"),
            )));
        }
        let custom = || {
            openapi
                .get("path")
                .map(|path| {
                    let text = self.session.load_text(&self.directory, path)?;
                    parse::value(text, &self.session.limits().yaml, &self.session.budget)
                })
                .transpose()
        };
        let version = openapi.get("version").map(String::as_str);
        self.at(self.session.schema.choose(version, custom))
    }

    /// Renders it on top of the resources of a parent, of which there are none unless it is a component.
    ///
    /// # Errors
    /// At the first thing that is wrong.
    pub(crate) fn accumulate(&self, on: Accumulation) -> Result<Accumulation, RenderError> {
        let mut all = on;
        self.add_resources(&mut all, &self.file.resources)?;
        let own = self.at(self.own_config())?;
        all.config = self.at(Config::merge(&all.config, &own))?;
        self.generate(&mut all)?;
        for reference in &self.file.components {
            all = self.add_component(all, reference)?;
        }
        self.transform(&mut all)?;
        self.at(all.vars.declare(&self.file.vars, &mut all.resources))?;
        Ok(all)
    }

    fn add_resources(
        &self,
        all: &mut Accumulation,
        references: &[String],
    ) -> Result<(), RenderError> {
        for reference in references {
            match self.at(self.session.target(&self.directory, reference))? {
                Reference::File(path, loaded) => {
                    let mut resources =
                        self.at(load::resources_of_file(self.session, &path, loaded.content))?;
                    self.note_file(&mut resources, reference);
                    for resource in resources {
                        self.at(all.resources.append(resource))?;
                    }
                }
                Reference::Directory(directory) => {
                    let below = self.below(directory, reference)?;
                    if below.file.kind == COMPONENT {
                        return self.at(Err(Failure::render(format!(
                            "{reference:?} is a Component; refer to it under `components`"
                        ))));
                    }
                    let accumulated = below.accumulate(Accumulation::default())?;
                    self.at(all.absorb(accumulated))?;
                }
            }
            let limit = self.session.limits().manifests;
            if all.resources.len() > limit {
                return Err(RenderError::LimitExceeded {
                    path: self.path.clone(),
                    what: "manifests",
                    limit,
                });
            }
        }
        Ok(())
    }

    fn add_component(
        &self,
        all: Accumulation,
        reference: &str,
    ) -> Result<Accumulation, RenderError> {
        let directory = self.at(self.session.enter(&self.directory, reference))?;
        let below = self.below(directory, reference)?;
        if below.file.kind != COMPONENT {
            return self.at(Err(Failure::render(format!(
                "{reference:?} is not a Component; refer to it under `resources`"
            ))));
        }
        let mut all = below.accumulate(all)?;
        // Patches of a component may have given two objects the same name.
        self.at(all.resources.distinct())?;
        Ok(all)
    }

    fn note_file(&self, resources: &mut [Resource], reference: &str) {
        if let Some(origin) = &self.origin {
            let text = provenance::file_origin(&provenance::join(origin, reference));
            for resource in resources {
                resource.set_annotation(ORIGIN, &text);
            }
        }
    }

    fn own_config(&self) -> Outcome<Arc<Config>> {
        let mut config = Config::defaults();
        for reference in &self.file.configurations {
            let text = self.session.load_text(&self.directory, reference)?;
            let place = self.session.place(&self.directory, reference);
            config = Config::merge(&config, &Arc::new(Config::read(&place, text)?))?;
        }
        for reference in &self.file.crds {
            let text = self.session.load_text(&self.directory, reference)?;
            let definitions =
                parse::value(text, &self.session.limits().yaml, &self.session.budget)?;
            let found = crds::config(&definitions).map_err(|error| error.context(reference))?;
            config = Config::merge(&config, &Arc::new(found))?;
        }
        Ok(config)
    }

    /// The field of this file that a step or generator came from.
    fn configured(&self, kind: &str) -> Option<StepOrigin> {
        self.origin
            .as_ref()
            .map(|origin| StepOrigin::builtin(provenance::join(origin, self.name), kind))
    }

    fn generate(&self, all: &mut Accumulation) -> Result<(), RenderError> {
        let global = self.file.generator_options.as_ref();
        // ConfigMaps before Secrets, independent of their order in the file.
        for (kind, made, list) in [
            (
                "ConfigMapGenerator",
                GeneratedKind::ConfigMap,
                &self.file.config_map_generator,
            ),
            (
                "SecretGenerator",
                GeneratedKind::Secret,
                &self.file.secret_generator,
            ),
        ] {
            for args in list {
                let args = generator::with_options(args, global);
                let origin = Origin {
                    file: self.path.clone(),
                    document: 0,
                    line: 1,
                };
                let mut resource = self.at(generator::generate(
                    made,
                    &args,
                    self.session,
                    &self.directory,
                    origin,
                ))?;
                if let Some(configured) = self.configured(kind) {
                    configured.note_generated(&mut resource);
                }
                self.at(all.resources.absorb(resource))?;
            }
        }
        for chart in &self.file.helm_charts {
            let globals = self.file.helm_globals.as_ref();
            let made = self.at(helm::inflate(chart, globals, self.session, &self.directory))?;
            for mut resource in made {
                if let Some(configured) = self.configured("HelmChartInflationGenerator") {
                    configured.note_generated(&mut resource);
                }
                self.at(all.resources.absorb(resource))?;
            }
        }
        for own in self.own_files(&self.file.generators)? {
            let mut resource = self.at(step::generate(&own, self.session, &self.directory))?;
            if let Some(configured) = configured_by(&own) {
                configured.note_generated(&mut resource);
            }
            self.at(all.resources.absorb(resource))?;
        }
        Ok(())
    }

    fn transform(&self, all: &mut Accumulation) -> Result<(), RenderError> {
        let mut steps: Vec<(Option<StepOrigin>, Step)> = Vec::new();
        let own_fields = step::of_fields(&self.file, &all.config, self.session, &self.directory);
        for (kind, step) in self.at(own_fields)? {
            steps.push((self.configured(kind), step));
        }
        for own in self.own_files(&self.file.transformers)? {
            let mut of_file = self.at(step::of_file(&own, self.session, &self.directory))?;
            let last = of_file.pop();
            // The origin annotation shows all steps of one file as one.
            steps.extend(of_file.into_iter().map(|step| (None, step)));
            steps.extend(last.map(|step| (configured_by(&own), step)));
        }
        for (configured, step) in steps {
            self.at(step.apply(&mut all.resources, self.session))?;
            all.resources.retain(|resource| !resource.is_deleted());
            if let Some(configured) = configured {
                for resource in all.resources.iter_mut() {
                    configured.note_transformed(resource);
                }
            }
        }
        Ok(())
    }

    /// The resources that configure steps or generators: inline, in files, or rendered by kustomizations.
    fn own_files(&self, entries: &[String]) -> Result<Vec<Resource>, RenderError> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let mut all = Accumulation::default();
        let mut paths = Vec::new();
        for entry in entries {
            match load::inline(self.session, &self.path, entry) {
                Some(read) => {
                    let mut read = self.at(read)?;
                    self.note_file(&mut read, self.name);
                    for resource in read {
                        self.at(all.resources.append(resource))?;
                    }
                }
                None => paths.push(entry.clone()),
            }
        }
        self.add_resources(&mut all, &paths)?;
        Ok(all.resources.into_vec())
    }
}

/// The file that a step or generator of its own came from, if origins are recorded.
fn configured_by(own: &Resource) -> Option<StepOrigin> {
    let file = own.annotation(ORIGIN)?.strip_prefix("path: ")?.trim_end();
    let metadata = super::file::Metadata {
        name: own.name().to_owned(),
        namespace: own.namespace().to_owned(),
        ..super::file::Metadata::default()
    };
    Some(StepOrigin::own(
        file.to_owned(),
        own.api_version(),
        own.kind(),
        &metadata,
    ))
}
