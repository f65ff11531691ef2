"""What would have been decided under other rules, from what a journal says was seen.

The record and the alternative are folded side by side (`compare`). What was seen of the planes is
the same for both; what clients did is told again as the other tables would have routed it
(`retelling`); what a conductor gathers on demand is taken from the record when the alternative asks
for it (`book`). What nobody saw stays unknown, and the result says where it matters (`limits`).
"""
