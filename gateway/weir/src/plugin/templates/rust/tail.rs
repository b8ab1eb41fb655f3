
export_policy!(PluginType: PLUGIN_DECIDES);

#[cfg(test)]
mod tests;
