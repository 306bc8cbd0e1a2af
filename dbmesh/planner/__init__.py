"""Statements to plans: resolve → shard conditions → route → rewrite → merge. Pure.

What the statement planners share (each module's docstring says more):

* `context.PlanContext(statement, rule_set, catalog, literals=…, database=…)`: `.statement.tree`, `.tokens`, `.text`
  (positions), `.literal(slot)` (pins), `.original_text` (pins all), `.hints`, `.edits()`.
* `resolve.resolve(context) -> Scopes`: `.references` (TableReference: table, schema, alias, span), `.sharded`,
  `.of(scope)`, `.column(node)`; `resolve.find_table(context, name)`.
* `route.build_router(context, scopes) -> Router`: `.route(call) -> Routing(targets, members)`, each `Target` a data
  source and the actual table of each reference; `route.literal_slots(routing, target, literals)` narrows IN lists.
* `names`: `rename_tables` (aliases; SELECT, UPDATE) or `replace_names` (INSERT, DELETE), `drop_schema_qualifiers`,
  `session_answers`, `logic_names`.
* `template.Edits` → `.build() -> Template` → `.frame(target.tables) -> Frame` → `.render(literals, call)`.
* `planner.Planner.plan(fingerprint, flags, database)`; `cache.PlanCache.lookup(sql, database, flags)`;
  `explain.explain(bound)`.
"""
