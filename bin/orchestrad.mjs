#!/usr/bin/env -S node --max-semi-space-size=16
import { assertNode } from './assert-node.mjs';

assertNode('orchestrad');
await import('../dist/orchestrad.mjs');
