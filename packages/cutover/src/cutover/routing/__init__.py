"""Who answers what: the routing table, the choice of a plane, the classification of texts."""
