//! The meet of two layers, and each constraint alone.

use std::collections::BTreeMap;

use super::{AllowLists, Requirements};

/// The higher of both.
fn higher<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    one.into_iter().chain(other).max()
}

/// For each key the higher of both.
fn highest<K: Ord, V: Ord + Copy>(own: &mut BTreeMap<K, V>, other: BTreeMap<K, V>) {
    for (key, value) in other {
        own.entry(key).and_modify(|old| *old = value.max(*old)).or_insert(value);
    }
}

/// The key of a requirements file for a field of [`Requirements`].
#[must_use]
pub fn key(field: &str) -> &str {
    match field {
        "retention_limits" => "max_content_retention_days",
        "min_liability_caps" => "min_liability_cap",
        "max_prices" => "max_price",
        _ => field,
    }
}

/// Hands every field of [`Requirements`] to a macro; a test of the laws counts them.
macro_rules! with_fields {
    ($then:ident) => {
        $then!(
            allowed_processing_locations,
            forbidden_processing_locations,
            allowed_storage_locations,
            forbidden_storage_locations,
            allowed_access_locations,
            forbidden_access_locations,
            allowed_operator_seats,
            allowed_controller_seats,
            forbidden_controller_seats,
            no_exposure,
            foreign_ownership,
            forbidden_sub_processors,
            transfer_basis_outside,
            retention_limits,
            no_training,
            no_human_review,
            no_content_logging,
            required_certifications,
            min_seal,
            min_cada_level,
            min_gaiax_label,
            min_safety_grade,
            min_assurance,
            allowed_licences,
            allowed_governing_laws,
            min_liability_caps,
            min_support,
            min_availability_bp,
            max_prices,
            required_capabilities
        )
    };
}

impl<T: Ord> AllowLists<T> {
    fn meet(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

impl Requirements {
    /// What both demand: the result is never looser than either (VOCABULARY D4).
    #[must_use]
    pub fn meet(mut self, other: Self) -> Self {
        self.allowed_processing_locations.meet(other.allowed_processing_locations);
        self.forbidden_processing_locations.extend(other.forbidden_processing_locations);
        self.allowed_storage_locations.meet(other.allowed_storage_locations);
        self.forbidden_storage_locations.extend(other.forbidden_storage_locations);
        self.allowed_access_locations.meet(other.allowed_access_locations);
        self.forbidden_access_locations.extend(other.forbidden_access_locations);
        self.allowed_operator_seats.meet(other.allowed_operator_seats);
        self.allowed_controller_seats.meet(other.allowed_controller_seats);
        self.forbidden_controller_seats.extend(other.forbidden_controller_seats);
        self.no_exposure.extend(other.no_exposure);
        self.foreign_ownership.extend(other.foreign_ownership);
        self.forbidden_sub_processors.extend(other.forbidden_sub_processors);
        self.transfer_basis_outside.meet(other.transfer_basis_outside);
        self.retention_limits.extend(other.retention_limits);
        self.no_training |= other.no_training;
        self.no_human_review |= other.no_human_review;
        self.no_content_logging |= other.no_content_logging;
        self.required_certifications.extend(other.required_certifications);
        highest(&mut self.min_seal, other.min_seal);
        self.min_cada_level = higher(self.min_cada_level, other.min_cada_level);
        self.min_gaiax_label = higher(self.min_gaiax_label, other.min_gaiax_label);
        self.min_safety_grade = higher(self.min_safety_grade, other.min_safety_grade);
        highest(&mut self.min_assurance, other.min_assurance);
        self.allowed_licences.meet(other.allowed_licences);
        self.allowed_governing_laws.meet(other.allowed_governing_laws);
        highest(&mut self.min_liability_caps, other.min_liability_caps);
        self.min_support = higher(self.min_support, other.min_support);
        self.min_availability_bp = higher(self.min_availability_bp, other.min_availability_bp);
        for (currency, ceiling) in other.max_prices {
            let own = self.max_prices.entry(currency).or_insert(ceiling);
            own.input_micros = own.input_micros.min(ceiling.input_micros);
            own.output_micros = own.output_micros.min(ceiling.output_micros);
        }
        self.required_capabilities.extend(other.required_capabilities);
        self
    }

    /// Every constraint that is set, by the key of its requirements file.
    #[must_use]
    pub fn keys(&self) -> Vec<&'static str> {
        let none = Self::default();
        let mut all = Vec::new();
        macro_rules! name_each {
            ($($field:ident),*) => {$(
                if self.$field != none.$field {
                    all.push(key(stringify!($field)));
                }
            )*};
        }
        with_fields!(name_each);
        all
    }

    /// Every constraint that is set, by the key of its requirements file, each with what is left when it is dropped.
    #[must_use]
    pub fn without_each(&self) -> Vec<(&'static str, Self)> {
        let none = Self::default();
        let mut all = Vec::new();
        macro_rules! drop_each {
            ($($field:ident),*) => {$(
                if self.$field != none.$field {
                    all.push((key(stringify!($field)), Self { $field: none.$field.clone(), ..self.clone() }));
                }
            )*};
        }
        with_fields!(drop_each);
        all
    }
}

#[cfg(test)]
mod tests;
