//! What an outage is of: the link, its far host, both, or this end.

use super::words::Cause;

/// What is known, beside a link that does not answer, of what it leads to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Around {
    /// Another link to the same host, or its management address, that answers.
    pub(super) elsewhere: Option<String>,
    /// Ways to the same host beside the link that do not answer.
    pub(super) silent: Vec<String>,
    /// Another host of the same site, that answers.
    pub(super) neighbour: Option<String>,
    /// Whether no link that is watched answers, and they lead to several hosts.
    pub(super) all_silent: bool,
}

impl Around {
    /// What the outage is of, and why, in a line.
    pub(super) fn cause(&self) -> (Cause, String) {
        if let Some(elsewhere) = &self.elsewhere {
            return (Cause::Outage, format!("its host answers {elsewhere}"));
        }
        if self.all_silent {
            let text = "no watched link answers: check this host and what it is connected by";
            return (Cause::NearEnd, text.to_owned());
        }
        if !self.silent.is_empty() {
            let silent = self.silent.join(" or ");
            return (Cause::HostDown, format!("its host does not answer {silent} either"));
        }
        if let Some(neighbour) = &self.neighbour {
            return (Cause::Outage, format!("{neighbour} of the same site answers"));
        }
        let text = "nothing shows whether it is the link or its far end";
        (Cause::LinkOrFarEnd, text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_answers_elsewhere_decides_before_what_does_not() {
        let elsewhere = Some("at its management address".to_owned());
        let silent = vec!["over isp-b".to_owned()];
        let neighbour = Some("vpc-2".to_owned());
        let all = Around { elsewhere, silent, neighbour, all_silent: true };
        assert_eq!(all.cause().0, Cause::Outage);
        let none = Around { elsewhere: None, ..all };
        assert_eq!(none.cause().0, Cause::NearEnd);
        let host = Around { all_silent: false, ..none };
        let text = "its host does not answer over isp-b either".to_owned();
        assert_eq!(host.cause(), (Cause::HostDown, text));
        let alone = Around { silent: Vec::new(), ..host };
        assert_eq!(alone.cause(), (Cause::Outage, "vpc-2 of the same site answers".to_owned()));
        assert_eq!(Around::default().cause().0, Cause::LinkOrFarEnd);
    }
}
