import { Builder } from "fresh/dev";
import { app } from "./main.ts";

await new Builder().build(app);
