//! The shape of a target: its type, keys, labels and annotations, as its spec declares them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};

use super::claims::Claims;
use super::formats::{self, BASIC_AUTH, DOCKER_CONFIG_JSON, DOCKER_CONFIG_KEY, Format};
use super::labels;
use super::template::{Context, Known, Template};
use super::{Data, LARGEST_SECRET, Shown, Times, default_keys};
use crate::api::{CreationPolicy, Formats, PRIVILEGED_SECRET_TYPES, Target, TargetTemplate};
use crate::decide::Outline;
use crate::error::{Error, Reason};

/// Raised whenever the same declaration comes to something else: targets are written again then.
const EDITION: u32 = 1;

/// What a target ought to look like.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    type_: Option<String>,
    formats: Vec<Arc<dyn Format>>,
    data: Templates,
    labels: Templates,
    annotations: Templates,
    digest: String,
}

type Templates = BTreeMap<String, Template>;

/// Where a token is shown.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// The name of its resource.
    pub name: &'a str,
    /// The name of its target.
    pub secret_name: &'a str,
}

/// A target, filled in.
#[derive(Debug)]
pub struct Rendered {
    /// The Secret's type, where it is said.
    pub type_: Option<String>,
    /// Its labels, beside tokenward's own.
    pub labels: BTreeMap<String, String>,
    /// Its annotations, beside tokenward's own.
    pub annotations: BTreeMap<String, String>,
    /// Its data.
    pub data: Data,
}

impl Shape {
    /// Reads what a spec declares beside the outputs of its provider's document, where those are
    /// known. Says what does not fit together.
    pub fn compile(target: &Target, outputs: Option<&BTreeSet<&str>>) -> Result<Self, Error> {
        let formats = formats::declared(&target.formats);
        let type_ = type_of(target, &formats)?;
        let is_guest = target.creation_policy == CreationPolicy::Merge;
        if is_guest && !is_of_keys_only(target) {
            return Err(invalid(
                "spec.target: with creationPolicy Merge the Secret's type, labels and annotations are \
                 its maker's: leave out type, template.labels, template.annotations and \
                 formats.argoCD"
                    .to_owned(),
            ));
        }
        let type_ = type_.filter(|_| !is_guest);
        let TargetTemplate { data, labels, annotations } = &target.template;
        let mut claims = Claims::new(outputs);
        for format in &formats {
            let whose = format!("formats.{}", format.name());
            format.keys().into_iter().try_for_each(|key| claims.claim(key, &whose))?;
        }
        data.keys().try_for_each(|key| claims.claim(key, "template.data"))?;
        if let Some(type_) = &type_ {
            claims.suffice(type_)?;
        }
        labels::may_be_set("labels", labels.keys())?;
        labels::may_be_set("annotations", annotations.keys())?;
        let known = Known { outputs, token: true };
        let shown_to_all = Known { token: false, ..known };
        let shape = Self {
            type_,
            data: templates("data", data, known)?,
            labels: templates("labels", labels, shown_to_all)?,
            annotations: templates("annotations", annotations, shown_to_all)?,
            digest: digest_of(target),
            formats,
        };
        shape.labels_differ()?;
        Ok(shape)
    }

    /// What of it shows in a Secret's metadata.
    pub fn outline(&self) -> Outline {
        let keys = self.formats.iter().flat_map(|format| format.keys()).map(str::to_owned);
        Outline {
            digest: self.digest.clone(),
            keys: keys.chain(self.data.keys().cloned()).collect(),
            kept_keys: self.kept_keys().into_keys().collect(),
            labels: self.labels.keys().cloned().chain(self.format_labels().into_keys()).collect(),
            annotations: self.annotations.keys().cloned().collect(),
        }
    }

    /// Digest of the declaration; empty where nothing is declared.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Shows a token in it. Errors hold no value.
    pub fn render(&self, shown: &Shown, place: Place<'_>) -> Result<Rendered, Error> {
        let mut data = default_keys(shown);
        for format in &self.formats {
            let values = format.values(shown).map_err(|what| {
                not_rendered(format!("spec.target.formats.{}: {what}", format.name()))
            })?;
            let keys = format.keys().into_iter().map(str::to_owned);
            data.extend(keys.zip(values));
        }
        let context = Context::new(shown, place);
        let fill = |templates: &Templates| -> Result<BTreeMap<String, String>, Error> {
            let filled = templates.iter();
            filled.map(|(key, template)| Ok((key.clone(), template.render(&context)?))).collect()
        };
        data.extend(fill(&self.data)?.into_iter().map(|(key, text)| (key, text.into())));
        let (mut labels, annotations) = (fill(&self.labels)?, fill(&self.annotations)?);
        labels::are_labels(&labels)?;
        labels::hold_no_secret(&[("labels", &labels), ("annotations", &annotations)], shown)?;
        labels::fit(&annotations)?;
        labels.extend(self.format_labels());
        self.is_of_its_type(&data)?;
        fits(&data)?;
        Ok(Rendered { type_: self.type_.clone(), labels, annotations, data })
    }

    /// The same once its token has expired and left: what says nothing of it, and the keys that the
    /// Secret's type cannot be without.
    pub fn without_token(&self, times: Times, place: Place<'_>) -> Rendered {
        let context = Context::without_token(times, place);
        let fill = |templates: &Templates| -> BTreeMap<String, String> {
            let filled = templates.iter();
            filled.filter_map(|(key, it)| Some((key.clone(), it.render(&context).ok()?))).collect()
        };
        let mut labels = fill(&self.labels);
        labels.extend(self.format_labels());
        Rendered {
            type_: self.type_.clone(),
            labels,
            annotations: fill(&self.annotations),
            data: self.kept_keys(),
        }
    }

    fn kept_keys(&self) -> Data {
        let type_ = self.type_.as_deref().unwrap_or_default();
        let (keys, _) = required_keys(type_);
        let nothing = |key: &str| if key.starts_with(".docker") { "{}" } else { "" };
        keys.iter().map(|key| ((*key).to_owned(), nothing(key).into())).collect()
    }

    fn format_labels(&self) -> BTreeMap<String, String> {
        let labels = self.formats.iter().flat_map(|format| format.labels());
        labels.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    fn labels_differ(&self) -> Result<(), Error> {
        for format in &self.formats {
            let label = format.labels().into_iter().find(|(key, _)| self.labels.contains_key(*key));
            if let Some((key, _)) = label {
                return Err(invalid(format!(
                    "spec.target.template.labels: {key} is set by formats.{} already: leave one of \
                     them out",
                    format.name()
                )));
            }
        }
        Ok(())
    }

    /// What the API server would refuse, found out before the former Secret is deleted for it.
    fn is_of_its_type(&self, data: &Data) -> Result<(), Error> {
        let key = match self.type_.as_deref() {
            Some(DOCKER_CONFIG_JSON) => DOCKER_CONFIG_KEY,
            Some("kubernetes.io/dockercfg") => ".dockercfg",
            _ => return Ok(()),
        };
        let text = data.get(key).map(|value| value.expose_secret().as_bytes()).unwrap_or_default();
        let is_object =
            serde_json::from_slice::<serde_json::Map<_, serde_json::Value>>(text).is_ok();
        match is_object {
            true => Ok(()),
            false => {
                Err(not_rendered(format!("spec.target.template.data.{key}: it is no JSON object")))
            }
        }
    }
}

/// The type that is wanted, if any is.
fn type_of(target: &Target, formats: &[Arc<dyn Format>]) -> Result<Option<String>, Error> {
    if let Some(type_) = &target.type_
        && PRIVILEGED_SECRET_TYPES.contains(&type_.as_str())
    {
        return Err(Error::new(
            Reason::SecretTypeNotAllowed,
            format!("spec.target.type: a Secret of type {type_} gives power beyond its data"),
        ));
    }
    let mut wanted: Option<(&str, String)> =
        target.type_.as_deref().map(|type_| (type_, "spec.target.type says".to_owned()));
    for format in formats {
        let Some(type_) = format.type_() else { continue };
        match &wanted {
            Some((other, whose)) if *other != type_ => {
                return Err(invalid(format!(
                    "spec.target.formats.{}: it needs a Secret of type {type_}, {whose} {other}: \
                     leave one of them out, or use a token for each",
                    format.name()
                )));
            }
            Some(_) => {}
            None => wanted = Some((type_, format!("formats.{} needs", format.name()))),
        }
    }
    Ok(wanted.map(|(type_, _)| type_.to_owned()))
}

/// The keys that the API server wants of a type: each of a set, or one of them.
pub(super) fn required_keys(type_: &str) -> (&'static [&'static str], &'static str) {
    match type_ {
        DOCKER_CONFIG_JSON => (&[DOCKER_CONFIG_KEY], "and"),
        BASIC_AUTH => (&["username", "password"], "or"),
        "kubernetes.io/dockercfg" => (&[".dockercfg"], "and"),
        "kubernetes.io/ssh-auth" => (&["ssh-privatekey"], "and"),
        "kubernetes.io/tls" => (&["tls.crt", "tls.key"], "and"),
        _ => (&[], "and"),
    }
}

fn templates(
    field: &str,
    texts: &BTreeMap<String, String>,
    known: Known<'_>,
) -> Result<Templates, Error> {
    let read = texts.iter().map(|(key, text)| {
        let place = format!("spec.target.template.{field}.{key}");
        Ok((key.clone(), Template::compile(text, &place, known)?))
    });
    read.collect()
}

/// Of what is declared, so that a change of it shows in the target's annotations.
/// Whether nothing but keys is declared.
fn is_of_keys_only(target: &Target) -> bool {
    let TargetTemplate { data: _, labels, annotations } = &target.template;
    let metadata = labels.is_empty() && annotations.is_empty() && target.formats.argo_cd.is_none();
    metadata && target.type_.is_none()
}

fn digest_of(target: &Target) -> String {
    let Target { type_, formats, template, .. } = target;
    if type_.is_none() && *formats == Formats::default() && *template == TargetTemplate::default() {
        return String::new();
    }
    // It cannot fail: strings and maps of strings.
    let declared = serde_json::to_vec(&(EDITION, type_, formats, template)).unwrap_or_default();
    let digest = digest(&SHA256, &declared);
    URL_SAFE_NO_PAD.encode(digest.as_ref().get(..12).unwrap_or_default())
}

fn fits(data: &Data) -> Result<(), Error> {
    let size: usize = data.values().map(|value: &SecretString| value.expose_secret().len()).sum();
    match size <= LARGEST_SECRET {
        true => Ok(()),
        false => Err(not_rendered(format!(
            "spec.target: the Secret would hold {size} bytes, and a Secret holds {LARGEST_SECRET} at \
             most: leave some keys out"
        ))),
    }
}

pub(super) fn invalid(message: String) -> Error {
    Error::new(Reason::InvalidSpec, message)
}

pub(super) fn not_rendered(message: String) -> Error {
    Error::new(Reason::TargetNotRendered, message)
}

#[cfg(test)]
#[path = "shape_tests.rs"]
mod tests;
