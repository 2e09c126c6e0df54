#!/usr/bin/env node
import { assertNode } from './assert-node.mjs';

assertNode('orchestrad');
await import('../dist/orchestrad.mjs');
