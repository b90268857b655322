//! Selectors of namespaces, as a person writes them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{ParseExpressionError, Selector};

/// What a selector asks for, or why that cannot be told.
pub(super) fn read(selector: &LabelSelector) -> Result<Selector, String> {
    for asked in selector.match_expressions.iter().flatten() {
        let (key, operator) = (&asked.key, asked.operator.as_str());
        match operator {
            "In" | "NotIn" if asked.values.iter().flatten().next().is_none() => {
                return Err(format!("matchExpressions: {operator} of {key:?} wants values"));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            _ => {
                return Err(format!(
                    "matchExpressions: the operator of {key:?} is In, NotIn, Exists or \
                     DoesNotExist, not {operator:?}"
                ));
            }
        }
    }
    selector.clone().try_into().map_err(|error: ParseExpressionError| error.to_string())
}
