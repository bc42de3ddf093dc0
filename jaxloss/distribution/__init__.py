"""What distributions hold and how they differ, and labels made softer."""

from jaxloss.distribution.divergences import generalized_kl_divergence as generalized_kl_divergence
from jaxloss.distribution.divergences import (
    jensen_shannon_divergence as jensen_shannon_divergence,
)
from jaxloss.distribution.divergences import kl_divergence as kl_divergence
from jaxloss.distribution.divergences import (
    kl_divergence_with_log_targets as kl_divergence_with_log_targets,
)
from jaxloss.distribution.entropies import cross_entropy as cross_entropy
from jaxloss.distribution.entropies import entropy as entropy
from jaxloss.distribution.entropies import information_content as information_content
from jaxloss.distribution.smoothing import smooth_labels as smooth_labels
from jaxloss.distribution.smoothing import smooth_labels_over_others as smooth_labels_over_others
