//! The files of the library, by group: a new kind is a file and an entry here, and a test reports a missing
//! one.

macro_rules! files {
    ($($group:literal => $($kind:literal)+;)*) => {
        /// Group, kind, and the text of its rule.
        pub(super) const FILES: &[(&str, &str, &str)] = &[
            $($(($group, $kind, include_str!(concat!("../rules/", $group, "/", $kind, ".yaml"))),)+)*
        ];
    };
}

files! {
    "_.azure.com" => "_";
    "_.cnrm.cloud.google.com" => "_";
    "_.crossplane.io" => "ClusterProviderConfig" "ProviderConfig" "ProviderConfigUsage"
        "StoreConfig" "_";
    "_.m.crossplane.io" => "ClusterProviderConfig" "ProviderConfig" "ProviderConfigUsage"
        "StoreConfig" "_";
    "_.m.upbound.io" => "ClusterProviderConfig" "ProviderConfig" "ProviderConfigUsage"
        "StoreConfig" "_";
    "_.services.k8s.aws" => "_";
    "_.upbound.io" => "ClusterProviderConfig" "ProviderConfig" "ProviderConfigUsage" "StoreConfig"
        "_";
    "acid.zalan.do" => "OperatorConfiguration" "PostgresTeam" "postgresql";
    "acme.cert-manager.io" => "Challenge" "Order";
    "actions.github.com" => "AutoscalingListener" "AutoscalingRunnerSet" "EphemeralRunner"
        "EphemeralRunnerSet";
    "actions.summerwind.dev" => "Runner" "RunnerDeployment";
    "addon.open-cluster-management.io" => "ManagedClusterAddOn";
    "addons.cluster.x-k8s.io" => "ClusterResourceSet" "ClusterResourceSetBinding" "HelmChartProxy"
        "HelmReleaseProxy";
    "agent.k8s.elastic.co" => "Agent";
    "apiextensions.crossplane.io" => "CompositeResourceDefinition" "Composition"
        "CompositionRevision" "EnvironmentConfig" "Usage";
    "apm.k8s.elastic.co" => "ApmServer";
    "app.redislabs.com" => "RedisEnterpriseActiveActiveDatabase" "RedisEnterpriseCluster"
        "RedisEnterpriseDatabase";
    "app.terraform.io" => "AgentPool" "Module" "Project" "Workspace";
    "apps.3scale.net" => "APIManager";
    "apps.emqx.io" => "EMQX";
    "apps.gitlab.com" => "GitLab" "Runner";
    "apps.kruise.io" => "AdvancedCronJob" "BroadcastJob" "CloneSet" "ContainerRecreateRequest"
        "DaemonSet" "ImagePullJob" "NodeImage" "PodUnavailableBudget" "SidecarSet" "StatefulSet"
        "UnitedDeployment" "WorkloadSpread";
    "apps.kubeblocks.io" => "Cluster" "Component";
    "apps.open-cluster-management.io" => "PlacementRule";
    "apps.openshift.io" => "DeploymentConfig";
    "aquasecurity.github.io" => "_";
    "argoproj.io" => "AnalysisRun" "AnalysisTemplate" "AppProject" "Application" "ApplicationSet"
        "ArgoCD" "ClusterAnalysisTemplate" "ClusterWorkflowTemplate" "CronWorkflow" "EventBus"
        "EventSource" "Experiment" "Rollout" "Sensor" "Workflow" "WorkflowEventBinding"
        "WorkflowTemplate";
    "astra.netapp.io" => "AppVault" "Application" "Backup" "BackupInplaceRestore" "BackupRestore"
        "ExecHook" "ExecHooksRun" "KopiaVolumeBackup" "KopiaVolumeRestore" "ResticVolumeBackup"
        "ResticVolumeRestore" "Schedule" "Snapshot" "SnapshotInplaceRestore" "SnapshotRestore";
    "atlas.mongodb.com" => "AtlasBackupSchedule" "AtlasDataFederation" "AtlasDatabaseUser"
        "AtlasDeployment" "AtlasProject" "AtlasTeam";
    "autoscaling.internal.knative.dev" => "PodAutoscaler";
    "autoscaling.k8s.io" => "VerticalPodAutoscaler";
    "awx.ansible.com" => "AWX";
    "barmancloud.cnpg.io" => "ObjectStore";
    "batch" => "CronJob";
    "batch.volcano.sh" => "Job";
    "beat.k8s.elastic.co" => "Beat";
    "bitnami.com" => "SealedSecret";
    "bootstrap.cluster.x-k8s.io" => "_";
    "build.openshift.io" => "Build" "BuildConfig";
    "camel.apache.org" => "Build" "Integration" "IntegrationKit" "IntegrationPlatform" "Kamelet"
        "KameletBinding" "Pipe";
    "capabilities.3scale.net" => "ActiveDoc" "Application" "ApplicationAuth" "Backend"
        "CustomPolicyDefinition" "DeveloperAccount" "DeveloperUser" "OpenAPI" "Product"
        "ProxyConfigPromote";
    "capsule.clastix.io" => "Tenant";
    "cassandra.datastax.com" => "CassandraDatacenter";
    "cdi.kubevirt.io" => "CDI" "DataVolume";
    "ceph.rook.io" => "CephBlockPool" "CephBlockPoolRadosNamespace" "CephBucketTopic" "CephClient"
        "CephCluster" "CephFilesystem" "CephFilesystemMirror" "CephFilesystemSubVolumeGroup"
        "CephNFS" "CephObjectRealm" "CephObjectStore" "CephObjectStoreUser" "CephObjectZone"
        "CephObjectZoneGroup" "CephRBDMirror";
    "cert-manager.io" => "Certificate" "CertificateRequest" "ClusterIssuer" "Issuer";
    "certificates.k8s.io" => "CertificateSigningRequest";
    "certmanager.k8s.io" => "Certificate" "ClusterIssuer" "Issuer";
    "chaos-mesh.org" => "AWSChaos" "DNSChaos" "GCPChaos" "HTTPChaos" "IOChaos" "JVMChaos"
        "KernelChaos" "NetworkChaos" "PodChaos" "Schedule" "StressChaos" "TimeChaos" "Workflow";
    "cilium.io" => "CiliumBGPAdvertisement" "CiliumBGPClusterConfig" "CiliumBGPPeerConfig"
        "CiliumBGPPeeringPolicy" "CiliumCIDRGroup" "CiliumClusterwideEnvoyConfig"
        "CiliumClusterwideNetworkPolicy" "CiliumEgressGatewayPolicy" "CiliumEndpoint"
        "CiliumEnvoyConfig" "CiliumL2AnnouncementPolicy" "CiliumLoadBalancerIPPool"
        "CiliumLocalRedirectPolicy" "CiliumNetworkPolicy" "CiliumNodeConfig";
    "clickhouse-keeper.altinity.com" => "ClickHouseKeeperInstallation";
    "clickhouse.altinity.com" => "ClickHouseInstallation";
    "cloud.google.com" => "BackendConfig";
    "cluster.karmada.io" => "Cluster";
    "cluster.open-cluster-management.io" => "ManagedCluster" "Placement";
    "cluster.redpanda.com" => "Redpanda" "Schema" "Topic" "User";
    "cluster.x-k8s.io" => "Cluster" "ClusterClass" "Machine" "MachineDeployment"
        "MachineHealthCheck" "MachinePool" "MachineSet";
    "config.gatekeeper.sh" => "Config";
    "config.openshift.io" => "ClusterOperator" "ClusterVersion";
    "configuration.konghq.com" => "KongClusterPlugin" "KongConsumer" "KongConsumerGroup"
        "KongIngress" "KongLicense" "KongPlugin" "KongUpstreamPolicy" "KongVault" "TCPIngress"
        "UDPIngress";
    "constraints.gatekeeper.sh" => "_";
    "consul.hashicorp.com" => "_";
    "controlplane.cluster.x-k8s.io" => "AWSManagedControlPlane" "_";
    "coralogix.com" => "Alert" "AlertScheduler" "ApiKey" "ArchiveLogsTarget" "ArchiveMetricsTarget"
        "Connector" "CustomRole" "Dashboard" "DashboardsFolder" "GlobalRouter" "Group"
        "Integration" "OutboundWebhook" "Preset" "RecordingRuleGroupSet" "RuleGroup" "SLO" "Scope"
        "TCOLogsPolicies" "TCOTracesPolicies" "View" "ViewFolder";
    "core.cnrm.cloud.google.com" => "ConfigConnector" "ConfigConnectorContext";
    "core.gardener.cloud" => "Shoot";
    "core.humio.com" => "HumioAction" "HumioAggregateAlert" "HumioAlert" "HumioCluster"
        "HumioExternalCluster" "HumioFilterAlert" "HumioGroup" "HumioIngestToken" "HumioParser"
        "HumioRepository" "HumioScheduledSearch" "HumioUser" "HumioView";
    "core.oam.dev" => "Application";
    "core.rukpak.io" => "Bundle" "BundleDeployment";
    "core.spinkube.dev" => "SpinApp";
    "core.strimzi.io" => "StrimziPodSet";
    "couchbase.com" => "CouchbaseCluster";
    "crd.k8s.amazonaws.com" => "CNINode" "ENIConfig";
    "crd.projectcalico.org" => "_";
    "crdb.cockroachlabs.com" => "CrdbCluster";
    "cstor.openebs.io" => "CStorPoolCluster";
    "database.arangodb.com" => "ArangoDeployment";
    "databases.spotahome.com" => "RedisFailover";
    "datadoghq.com" => "DatadogAgent" "DatadogDashboard" "DatadogMetric" "DatadogMonitor"
        "DatadogSLO";
    "db.atlasgo.io" => "AtlasMigration" "AtlasSchema";
    "eks.amazonaws.com" => "NodeClass" "NodeDiagnostic";
    "elasticsearch.k8s.elastic.co" => "Elasticsearch";
    "elbv2.k8s.aws" => "TargetGroupBinding";
    "enterprise.gloo.solo.io" => "AuthConfig";
    "enterprisesearch.k8s.elastic.co" => "EnterpriseSearch";
    "eventing.knative.dev" => "Broker" "EventPolicy" "EventType" "Trigger";
    "expansion.gatekeeper.sh" => "_";
    "extensions.istio.io" => "WasmPlugin";
    "external-secrets.io" => "ClusterExternalSecret" "ClusterPushSecret" "ClusterSecretStore"
        "ExternalSecret" "PushSecret" "SecretStore";
    "externaldata.gatekeeper.sh" => "Provider";
    "externaldns.k8s.io" => "DNSEndpoint";
    "flagger.app" => "Canary";
    "flink.apache.org" => "FlinkDeployment" "FlinkSessionJob";
    "flowcontrol.apiserver.k8s.io" => "FlowSchema";
    "flows.knative.dev" => "Parallel" "Sequence";
    "fluxcd.controlplane.io" => "FluxInstance" "FluxReport" "ResourceSet"
        "ResourceSetInputProvider";
    "game.kruise.io" => "GameServer" "GameServerSet";
    "gateway.envoyproxy.io" => "Backend" "BackendTrafficPolicy" "ClientTrafficPolicy"
        "EnvoyExtensionPolicy" "EnvoyPatchPolicy" "EnvoyProxy" "HTTPRouteFilter" "SecurityPolicy";
    "gateway.kgateway.dev" => "_";
    "gateway.networking.k8s.io" => "BackendTLSPolicy" "GRPCRoute" "Gateway" "GatewayClass"
        "HTTPRoute" "ReferenceGrant" "TCPRoute" "TLSRoute" "UDPRoute";
    "gateway.networking.x-k8s.io" => "XBackendTrafficPolicy";
    "gateway.solo.io" => "Gateway" "HttpListenerOption" "ListenerOption" "MatchableHttpGateway"
        "MatchableTcpGateway" "RouteOption" "RouteTable" "VirtualHostOption" "VirtualService";
    "generators.external-secrets.io" => "_";
    "gitlab.com" => "GitLab";
    "gloo.solo.io" => "Proxy" "Settings" "Upstream" "UpstreamGroup";
    "grafana-org-operator.kubitus-project.gitlab.io" => "_";
    "grafana.integreatly.org" => "Grafana" "GrafanaAlertRuleGroup" "GrafanaContactPoint"
        "GrafanaDashboard" "GrafanaDatasource" "GrafanaFolder" "GrafanaLibraryPanel"
        "GrafanaMuteTiming" "GrafanaNotificationPolicy" "GrafanaNotificationTemplate";
    "groupsnapshot.storage.k8s.io" => "VolumeGroupSnapshot" "VolumeGroupSnapshotContent";
    "harbor.goharbor.io" => "HarborCluster";
    "hazelcast.com" => "Hazelcast" "HotBackup" "ManagementCenter" "Map";
    "helm.toolkit.fluxcd.io" => "HelmRelease";
    "hive.openshift.io" => "ClusterDeployment";
    "hnc.x-k8s.io" => "HierarchyConfiguration" "SubnamespaceAnchor";
    "http.keda.sh" => "HTTPScaledObject";
    "hypershift.openshift.io" => "HostedCluster" "NodePool";
    "iammanager.keikoproj.io" => "Iamrole";
    "image.openshift.io" => "ImageStream";
    "image.toolkit.fluxcd.io" => "ImagePolicy" "ImageRepository" "ImageUpdateAutomation";
    "infinispan.org" => "Infinispan";
    "infra.contrib.fluxcd.io" => "Terraform";
    "infrastructure.cluster.x-k8s.io" => "VCluster" "_";
    "install.istio.io" => "IstioOperator";
    "jaegertracing.io" => "Jaeger" "_";
    "jetstream.nats.io" => "Consumer" "Stream";
    "jobset.x-k8s.io" => "JobSet";
    "k6.io" => "K6" "TestRun";
    "k8s.keycloak.org" => "Keycloak" "KeycloakRealmImport";
    "k8s.mariadb.com" => "Backup" "Connection" "Database" "ExternalMariaDB" "Grant" "MariaDB"
        "MaxScale" "PhysicalBackup" "PointInTimeRecovery" "Restore" "SqlJob" "User";
    "k8ssandra.io" => "K8ssandraCluster";
    "kafka.banzaicloud.io" => "KafkaCluster";
    "kafka.strimzi.io" => "Kafka" "KafkaBridge" "KafkaConnect" "KafkaConnector" "KafkaMirrorMaker"
        "KafkaMirrorMaker2" "KafkaNodePool" "KafkaRebalance" "KafkaTopic" "KafkaUser";
    "kappctrl.k14s.io" => "App";
    "karpenter.azure.com" => "AKSNodeClass";
    "karpenter.k8s.aws" => "EC2NodeClass";
    "karpenter.sh" => "NodeClaim" "NodePool";
    "keda.sh" => "ClusterTriggerAuthentication" "ScaledJob" "ScaledObject" "TriggerAuthentication";
    "keycloak.org" => "Keycloak" "KeycloakClient" "KeycloakRealm" "KeycloakUser";
    "kiali.io" => "Kiali";
    "kibana.k8s.elastic.co" => "Kibana";
    "korifi.cloudfoundry.org" => "_";
    "kpack.io" => "Build" "Builder" "ClusterBuilder" "ClusterStack" "ClusterStore" "Image"
        "SourceResolver";
    "kro.run" => "ResourceGraphDefinition";
    "kubeflow.org" => "MPIJob" "Notebook" "PaddleJob" "Profile" "PyTorchJob" "TFJob" "XGBoostJob";
    "kubernetes-client.io" => "ExternalSecret";
    "kubevirt.io" => "KubeVirt" "VirtualMachine" "VirtualMachineInstance"
        "VirtualMachineInstanceReplicaSet";
    "kueue.x-k8s.io" => "AdmissionCheck" "ClusterQueue" "Cohort" "LocalQueue" "ResourceFlavor"
        "Topology" "Workload" "WorkloadPriorityClass";
    "kuma.io" => "_";
    "kustomize.toolkit.fluxcd.io" => "Kustomization";
    "kyverno.io" => "CleanupPolicy" "ClusterCleanupPolicy" "ClusterPolicy" "Policy"
        "PolicyException";
    "leaderworkerset.x-k8s.io" => "LeaderWorkerSet";
    "lifecycle.keptn.sh" => "KeptnAppVersion" "KeptnEvaluation" "KeptnTask" "KeptnWorkloadInstance"
        "KeptnWorkloadVersion";
    "linkerd.io" => "ServiceProfile";
    "local.storage.openshift.io" => "LocalVolume";
    "logging.banzaicloud.io" => "ClusterFlow" "ClusterOutput" "Flow" "Logging" "Output";
    "logstash.k8s.elastic.co" => "Logstash";
    "loki.grafana.com" => "LokiStack";
    "longhorn.io" => "BackingImage" "Backup" "BackupTarget" "Engine" "EngineImage"
        "InstanceManager" "Node" "RecurringJob" "Replica" "Setting" "Snapshot" "Volume";
    "machine.openshift.io" => "Machine" "MachineSet";
    "machineconfiguration.openshift.io" => "MachineConfigPool";
    "machinelearning.seldon.io" => "SeldonDeployment";
    "maps.k8s.elastic.co" => "ElasticMapsServer";
    "mariadb.mmontes.io" => "Backup" "Connection" "Database" "Grant" "MariaDB" "Restore" "SqlJob"
        "User";
    "messaging.knative.dev" => "Channel" "InMemoryChannel" "Subscription";
    "metal3.io" => "BareMetalHost";
    "metallb.io" => "BFDProfile" "BGPAdvertisement" "BGPPeer" "Community" "ConfigurationState"
        "IPAddressPool" "L2Advertisement";
    "metrics.keptn.sh" => "Analysis" "KeptnMetric";
    "microgateway.airlock.com" => "_";
    "milvus.io" => "Milvus";
    "minio.min.io" => "Tenant";
    "mlops.seldon.io" => "Model" "Pipeline" "Server";
    "mongodb.com" => "MongoDB" "MongoDBMultiCluster" "MongoDBOpsManager" "MongoDBUser";
    "mongodbcommunity.mongodb.com" => "MongoDBCommunity";
    "monitoring.coreos.com" => "Alertmanager" "AlertmanagerConfig" "PodMonitor" "Probe"
        "Prometheus" "PrometheusAgent" "PrometheusRule" "ScrapeConfig" "ServiceMonitor"
        "ThanosRuler";
    "mutations.gatekeeper.sh" => "_";
    "mysql.oracle.com" => "InnoDBCluster";
    "mysql.presslabs.org" => "MysqlCluster";
    "networking.gke.io" => "FrontendConfig" "ManagedCertificate";
    "networking.internal.knative.dev" => "_";
    "networking.istio.io" => "DestinationRule" "EnvoyFilter" "Gateway" "ProxyConfig" "ServiceEntry"
        "Sidecar" "VirtualService" "WorkloadEntry" "WorkloadGroup";
    "nfd.k8s-sigs.io" => "NodeFeature" "NodeFeatureDiscovery" "NodeFeatureRule";
    "nfd.openshift.io" => "NodeFeatureDiscovery";
    "nmstate.io" => "NodeNetworkConfigurationEnactment" "NodeNetworkConfigurationPolicy";
    "node.k8s.io" => "RuntimeClass";
    "notification.toolkit.fluxcd.io" => "Alert" "Provider" "Receiver";
    "numaflow.numaproj.io" => "InterStepBufferService" "MonoVertex" "Pipeline" "Vertex";
    "numaplane.numaproj.io" => "ISBServiceRollout" "MonoVertexRollout" "NumaflowControllerRollout"
        "PipelineRollout";
    "nvidia.com" => "ClusterPolicy" "NVIDIADriver";
    "objectbucket.io" => "ObjectBucketClaim";
    "ocs.openshift.io" => "StorageCluster";
    "olm.operatorframework.io" => "ClusterCatalog" "ClusterExtension";
    "onepassword.com" => "OnePasswordItem";
    "openebs.io" => "_";
    "openfaas.com" => "Function";
    "opensearch.opster.io" => "OpenSearchCluster";
    "opensearch.org" => "OpenSearchCluster";
    "opentelemetry.io" => "Instrumentation" "OpAMPBridge" "OpenTelemetryCollector"
        "TargetAllocator";
    "operator.cluster.x-k8s.io" => "_";
    "operator.knative.dev" => "KnativeEventing" "KnativeServing";
    "operator.open-cluster-management.io" => "ClusterManager" "Klusterlet" "MultiClusterHub";
    "operator.openshift.io" => "IngressController";
    "operator.projectcontour.io" => "Contour";
    "operator.tekton.dev" => "TektonAddon" "TektonChain" "TektonConfig" "TektonDashboard"
        "TektonHub" "TektonInstallerSet" "TektonPipeline" "TektonResult" "TektonTrigger";
    "operator.tigera.io" => "APIServer" "Goldmane" "Installation" "TigeraStatus" "Whisker";
    "operator.victoriametrics.com" => "_";
    "operators.coreos.com" => "CatalogSource" "ClusterServiceVersion" "InstallPlan"
        "OperatorCondition" "OperatorGroup" "Subscription";
    "packaging.carvel.dev" => "PackageInstall" "PackageRepository";
    "perses.dev" => "Perses" "PersesDashboard" "PersesDatasource";
    "pgv2.percona.com" => "PerconaPGBackup" "PerconaPGCluster" "PerconaPGRestore";
    "piraeus.io" => "LinstorCluster" "LinstorSatellite";
    "pkg.crossplane.io" => "Configuration" "ConfigurationRevision" "ControllerConfig"
        "DeploymentRuntimeConfig" "Function" "FunctionRevision" "ImageConfig" "Lock" "Provider"
        "ProviderRevision";
    "planetscale.com" => "EtcdLockserver" "VitessCell" "VitessCluster" "VitessKeyspace"
        "VitessShard";
    "platform.confluent.io" => "ClusterLink" "ConfluentRolebinding" "Connect" "Connector"
        "ControlCenter" "KRaftController" "Kafka" "KafkaRestClass" "KafkaRestProxy" "KafkaTopic"
        "KsqlDB" "Schema" "SchemaExporter" "SchemaRegistry" "Zookeeper";
    "policies.kubewarden.io" => "AdmissionPolicy" "AdmissionPolicyGroup" "ClusterAdmissionPolicy"
        "ClusterAdmissionPolicyGroup" "PolicyServer";
    "policies.kyverno.io" => "DeletingPolicy" "GeneratingPolicy" "ImageValidatingPolicy"
        "MutatingPolicy" "ValidatingPolicy";
    "policy.linkerd.io" => "AuthorizationPolicy" "EgressNetwork" "HTTPRoute"
        "MeshTLSAuthentication" "NetworkAuthentication" "Server" "ServerAuthorization";
    "policy.open-cluster-management.io" => "CertificatePolicy" "ConfigurationPolicy"
        "OperatorPolicy" "Policy";
    "pool.kubevirt.io" => "VirtualMachinePool";
    "postgres-operator.crunchydata.com" => "PGAdmin" "PGUpgrade" "PostgresCluster";
    "postgresql.cnpg.io" => "Backup" "Cluster" "ClusterImageCatalog" "Database" "ImageCatalog"
        "Pooler" "Publication" "ScheduledBackup" "Subscription";
    "proclaim.dogmatiq.io" => "DNSSDServiceInstance";
    "projectcalico.org" => "_";
    "projectcontour.io" => "ContourDeployment" "ExtensionService" "HTTPProxy"
        "TLSCertificateDelegation";
    "promoter.argoproj.io" => "ArgoCDCommitStatus" "ChangeTransferPolicy" "ClusterScmProvider"
        "CommitStatus" "ControllerConfiguration" "GitCommitStatus" "GitRepository"
        "PromotionStrategy" "PullRequest" "RevertCommit" "ScheduledCommitStatus" "ScmProvider"
        "TimedCommitStatus" "WebRequestCommitStatus";
    "protect.trident.netapp.io" => "Backup" "BackupInplaceRestore" "BackupRestore" "ExecHooksRun"
        "Snapshot" "SnapshotInplaceRestore" "SnapshotRestore";
    "ps.percona.com" => "PerconaServerMySQL";
    "psmdb.percona.com" => "PerconaServerMongoDB" "PerconaServerMongoDBBackup"
        "PerconaServerMongoDBRestore";
    "pulumi.com" => "Stack";
    "pxc.percona.com" => "PerconaXtraDBCluster" "PerconaXtraDBClusterBackup"
        "PerconaXtraDBClusterRestore";
    "pyrra.dev" => "ServiceLevelObjective";
    "rabbitmq.com" => "Binding" "Exchange" "Federation" "OperatorPolicy" "Permission" "Policy"
        "Queue" "RabbitmqCluster" "SchemaReplication" "Shovel" "SuperStream" "TopicPermission"
        "User" "Vhost";
    "ratelimit.solo.io" => "RateLimitConfig";
    "ray.io" => "RayCluster" "RayJob" "RayService";
    "redhatcop.redhat.io" => "_";
    "redis.redis.opstreelabs.in" => "_";
    "resource.k8s.io" => "ResourceClaim";
    "resources.teleport.dev" => "_";
    "rollouts.kruise.io" => "Rollout";
    "route.openshift.io" => "Route";
    "sailoperator.io" => "Istio" "IstioCNI" "IstioRevision" "ZTunnel";
    "scheduling.volcano.sh" => "PodGroup" "Queue";
    "scylla.scylladb.com" => "ScyllaCluster";
    "secrets-store.csi.x-k8s.io" => "SecretProviderClass" "SecretProviderClassPodStatus";
    "secrets.hashicorp.com" => "HCPVaultSecretsApp" "VaultAuth" "VaultConnection"
        "VaultDynamicSecret" "VaultPKISecret" "VaultStaticSecret";
    "secrets.infisical.com" => "InfisicalSecret";
    "security.istio.io" => "AuthorizationPolicy" "PeerAuthentication" "RequestAuthentication";
    "services.cloud.sap.com" => "ServiceBinding" "ServiceInstance";
    "serving.knative.dev" => "Configuration" "DomainMapping" "Revision" "Route" "Service";
    "serving.kserve.io" => "ClusterServingRuntime" "ClusterStorageContainer" "InferenceGraph"
        "InferenceService" "LLMInferenceService" "ServingRuntime" "TrainedModel";
    "shipwright.io" => "Build" "BuildRun";
    "sloth.slok.dev" => "PrometheusServiceLevel";
    "snapshot.kubevirt.io" => "VirtualMachineSnapshot";
    "snapshot.storage.k8s.io" => "VolumeSnapshot" "VolumeSnapshotContent";
    "solr.apache.org" => "SolrBackup" "SolrCloud";
    "source.extensions.fluxcd.io" => "ArtifactGenerator";
    "source.toolkit.fluxcd.io" => "Bucket" "ExternalArtifact" "GitRepository" "HelmChart"
        "HelmRepository" "OCIRepository";
    "sources.knative.dev" => "_";
    "sparkoperator.k8s.io" => "ScheduledSparkApplication" "SparkApplication";
    "spot.io" => "SpotDeployment";
    "stackconfigpolicy.k8s.elastic.co" => "StackConfigPolicy";
    "stackgres.io" => "SGCluster";
    "stacks.crossplane.io" => "ClusterStackInstall" "StackInstall";
    "storage.vcluster.com" => "_";
    "syncset.gatekeeper.sh" => "SyncSet";
    "tekton.dev" => "ClusterTask" "CustomRun" "Pipeline" "PipelineRun" "Run" "StepAction" "Task"
        "TaskRun";
    "telemetry.istio.io" => "Telemetry";
    "templates.gatekeeper.sh" => "ConstraintTemplate";
    "tempo.grafana.com" => "TempoMonolithic" "TempoStack";
    "temporal.io" => "TemporalCluster" "TemporalNamespace";
    "testing.k6.io" => "TestRun";
    "tidb.pingcap.com" => "TidbCluster";
    "topolvm.io" => "LogicalVolume";
    "tower.ansible.com" => "AnsibleJob" "AnsibleWorkflow";
    "traefik.containo.us" => "_";
    "traefik.io" => "_";
    "trainer.kubeflow.org" => "TrainJob";
    "trident.netapp.io" => "TridentBackendConfig" "TridentOrchestrator";
    "triggers.tekton.dev" => "ClusterTriggerBinding" "EventListener" "Trigger" "TriggerBinding"
        "TriggerTemplate";
    "trust.cert-manager.io" => "Bundle";
    "vault.banzaicloud.com" => "Vault";
    "velero.io" => "Backup" "BackupRepository" "BackupStorageLocation" "DataDownload" "DataUpload"
        "PodVolumeBackup" "PodVolumeRestore" "Restore" "Schedule" "VolumeSnapshotLocation";
    "vpcresources.k8s.aws" => "SecurityGroupPolicy";
    "wgpolicyk8s.io" => "ClusterPolicyReport" "PolicyReport";
    "wildfly.org" => "WildFlyServer";
    "work.karmada.io" => "ClusterResourceBinding" "ResourceBinding" "Work";
    "work.open-cluster-management.io" => "ManifestWork";
    "workload.codeflare.dev" => "AppWrapper";
    "zookeeper.pravega.io" => "ZookeeperCluster";
}
