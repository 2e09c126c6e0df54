export * from '#contract/policy-input.ts';
