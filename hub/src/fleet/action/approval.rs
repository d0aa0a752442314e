//! Which approvals anything asks for.

use flotilla_shared::id::EnvironmentName;

use super::super::Fleet;
use super::super::environment::Scope;
use super::ActionError;
use crate::near::missing;

impl Fleet {
    /// Refuses an approval that nothing would ever ask for: whoever gave it would think that something
    /// goes on now.
    pub(super) fn is_asked_for(
        &self,
        name: &EnvironmentName,
        scope: &Scope,
    ) -> Result<(), ActionError> {
        self.known(name)?;
        let environment = self.spec.environment(name);
        let waves = environment
            .and_then(|one| one.strategy.as_ref())
            .map(|strategy| strategy.waves.as_slice())
            .unwrap_or_default();
        let asking: Vec<&str> = waves
            .iter()
            .filter(|wave| wave.approvals > 0)
            .map(|wave| wave.name.as_str())
            .collect();
        let others = match asking.as_slice() {
            [] => String::new(),
            [one] => format!("; its wave {one} does: give --wave {one}"),
            some => format!("; its waves {} do: give --wave NAME", some.join(", ")),
        };
        let text = match scope {
            Scope::Override => return Ok(()),
            Scope::Wave(wave) => match waves.iter().find(|one| one.name == *wave) {
                Some(one) if one.approvals > 0 => return Ok(()),
                Some(_) => format!("wave {wave} of {name} asks for no approval{others}"),
                None => {
                    let names = waves.iter().map(|wave| wave.name.as_str());
                    format!("{name}: {}", missing("wave", wave, names))
                }
            },
            Scope::Commit if environment.is_some_and(|one| one.gates.approvals > 0) => {
                return Ok(());
            }
            Scope::Commit => format!("{name} asks for no approval of a commit{others}"),
        };
        Err(ActionError::Nothing(text))
    }
}
