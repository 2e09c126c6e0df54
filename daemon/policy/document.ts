import { PolicyDocument } from '#contract/policy.ts';
import { parseYaml } from '../base/yaml.ts';

const policyBytesMax = 256 * 1024;

/** A policy document from its text, or `policy.invalid` with every place that is wrong. */
export function parsePolicy(text: string, file: string): PolicyDocument {
  return parseYaml(text, {
    file,
    schema: PolicyDocument,
    code: 'policy.invalid',
    maxBytes: policyBytesMax,
  });
}
