//! Objects together with where they were written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::complaint::{Complaint, Place, Severity};
use super::rules::Kind;
use super::secret::{NamespaceManifest, SecretManifest};
use crate::api::{
    ClusterOAuthClientToken, ClusterOAuthProvider, OAuthClientToken, OAuthProvider, ProviderKind,
};

/// Namespace (empty for cluster-scoped kinds) and name of an object.
pub type Key = (String, String);

/// An object and where it was written.
#[derive(Clone, Debug)]
pub struct Sourced<T> {
    /// The object.
    pub object: T,
    /// The file that it is from.
    pub file: PathBuf,
    /// The line that it begins in.
    pub line: usize,
    /// `KIND NAMESPACE/NAME`.
    pub(super) title: String,
    pub(super) places: BTreeMap<String, Place>,
}

impl<T> Sourced<T> {
    /// A complaint about a field of it, or about all of it where `path` is empty.
    pub fn complain(
        &self,
        severity: Severity,
        path: impl Into<String>,
        message: impl Into<String>,
    ) -> Complaint {
        let path = path.into();
        Complaint {
            severity,
            file: self.file.clone(),
            place: Some(place_in(&self.places, &path)),
            object: Some(self.title.clone()),
            path,
            message: message.into(),
        }
    }

    /// `KIND NAMESPACE/NAME`.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// `KIND NAMESPACE/NAME (FILE:LINE)`.
    pub(super) fn citation(&self) -> String {
        format!("{} ({}:{})", self.title, self.file.display(), self.line)
    }
}

/// The place of a path, or of the innermost thing around it that is written down.
pub(super) fn place_in(places: &BTreeMap<String, Place>, path: &str) -> Place {
    let mut path = path;
    loop {
        if let Some(place) = places.get(path) {
            return *place;
        }
        match path.rfind(['.', '[']) {
            Some(end) => path = path.get(..end).unwrap_or_default(),
            None if path.is_empty() => return Place::default(),
            None => path = "",
        }
    }
}

/// The objects of a set of manifests; those alone that broke no rule.
#[derive(Clone, Debug, Default)]
pub struct Manifests {
    /// Tokens.
    pub tokens: BTreeMap<Key, Sourced<OAuthClientToken>>,
    /// Namespaced providers.
    pub providers: BTreeMap<Key, Sourced<OAuthProvider>>,
    /// Cluster providers.
    pub cluster_providers: BTreeMap<Key, Sourced<ClusterOAuthProvider>>,
    /// Cluster tokens.
    pub cluster_tokens: BTreeMap<Key, Sourced<ClusterOAuthClientToken>>,
    /// Secrets.
    pub secrets: BTreeMap<Key, Sourced<SecretManifest>>,
    /// Namespaces.
    pub namespaces: BTreeMap<Key, Sourced<NamespaceManifest>>,
    /// Objects that are there but broke a rule: they are not missing.
    pub(super) broken: BTreeSet<(Kind, Key)>,
    pub(super) checked: usize,
}

impl Manifests {
    /// How many objects were looked at, broken ones included.
    pub fn checked(&self) -> usize {
        self.checked
    }

    /// The labels of a namespace, with the one that the API server puts on each.
    pub fn namespace_labels(&self, namespace: &str) -> BTreeMap<String, String> {
        let key = (String::new(), namespace.to_owned());
        let given = self.namespaces.get(&key).map(|found| found.object.labels.clone());
        let mut labels = given.unwrap_or_default();
        labels.insert("kubernetes.io/metadata.name".to_owned(), namespace.to_owned());
        labels
    }

    /// The key of the provider that a token refers to.
    pub fn provider_key(token: &OAuthClientToken) -> (ProviderKind, Key) {
        let reference = &token.spec.provider_ref;
        let namespace = match reference.kind {
            ProviderKind::OAuthProvider => token.metadata.namespace.clone().unwrap_or_default(),
            ProviderKind::ClusterOAuthProvider => String::new(),
        };
        (reference.kind, (namespace, reference.name.clone()))
    }

    /// Whether an object is there, but broken.
    pub(super) fn is_broken(&self, kind: Kind, key: &Key) -> bool {
        self.broken.contains(&(kind, key.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_not_written_down_stands_where_its_surroundings_do() {
        let place = |line| Place { line, column: 1 };
        let places = BTreeMap::from([
            (String::new(), place(1)),
            ("spec".to_owned(), place(5)),
            ("spec.list".to_owned(), place(7)),
        ]);
        for (path, line) in
            [("spec.list[3].x", 7), ("spec.other.y", 5), ("status", 1), ("spec", 5), ("", 1)]
        {
            assert_eq!(place_in(&places, path), place(line), "{path}");
        }
    }
}
